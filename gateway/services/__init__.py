"""The services process: one task group that hangs OPC UA, pictures, counters and the acting rules on the record stream.

Reading order: ``main``, ``line`` (what one record sets off), ``stream``, ``act`` (trend, imaging, adjustment) with ``evidence``
and ``control`` (the way to ask for one), ``pixels``, ``config``. It must not touch a PLC, a camera or the inference engine:
what it wants of them it asks control for.
"""
