"""The services process: one task group that hangs OPC UA, pictures, counters and the acting rules on the record stream.

Reading order: ``main``, ``line`` (what one record sets off), ``stream``, ``act``, ``config``. It must not touch a PLC, a
camera or the inference engine: what it wants of them it asks control for.
"""
