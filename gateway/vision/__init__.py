"""Seeing: cameras and the process that hangs on them, model packages and the engine that runs them.

Reading order: ``cameras`` (what a camera is, and each kind of it) → ``pictures`` (files to pixels) → ``capture`` (the process
that puts a camera's frames into the ring and announces them) → ``manifest``, ``package`` (a model on disk) → ``fit`` (pictures
to inputs) → ``engine``. Cameras and engine never meet: pixels pass through the ring. Nothing here knows a PLC or when a part
is due.
"""
