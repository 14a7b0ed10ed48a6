"""Pure statistics on the record stream: is the process getting worse, and can the pictures be trusted?

Reading order: ``trend`` (defects, part by part), ``imaging`` (level, contrast and sharpness against the model's baseline). It
must not know what is done about an answer, nor a socket or a clock.
"""
