"""What happened and what was done about it: the journal, the operations database, the pictures kept.

Reading order: ``database`` (how what must survive is opened), ``journal`` (control writes, everybody reads), ``stream`` (the
fast way from control to services), ``ops`` (services' own database), ``images``. Nothing here knows a PLC, a camera, OPC UA or
the meaning of a record.
"""
