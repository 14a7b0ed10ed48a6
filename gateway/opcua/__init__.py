"""The OPC UA face: one tree of flat tags a station, for SCADA and PLC clients that read nothing else.

Reading order: ``flat`` (which tags there are), ``station`` (records → tag values), ``quality``, ``server``, ``security``,
``hardened`` (what the library lacks). It reads records and writes tags; it must not know a PLC, a camera or an action.
"""
