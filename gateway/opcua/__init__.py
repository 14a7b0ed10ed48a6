"""The OPC UA face: one tree of flat tags a station, for SCADA and PLC clients that read nothing else.

Reading order: ``flat`` (which tags there are), ``station`` (records → tag values), ``counters``, ``quality``; ``server`` and
``tree`` (tags → nodes); ``access`` and ``security`` (who may read, with what certificate); ``hardened``, ``wire``, ``sessions``
and ``subscriptions`` (what the library lacks against careless and hostile clients); ``methods`` and ``desk`` (what clients may
ask for); ``mv`` (every station as a vision system of OPC 40100-1) with ``archive`` (its results, out of the journals). It reads
records and writes tags; it must not know a PLC, a camera or an action.
"""
