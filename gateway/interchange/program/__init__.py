"""The PLC's side of the handshake as programs: data blocks, types and the function block FB_VisionGate, from a checked map.

The logic stands once, in ``gate.st``; the dialects differ in notation alone (``dialect``). What the function block does is
specified by the simulated PLC and compared with it, scan by scan, in the tests. It knows maps and texts; no device.
"""
