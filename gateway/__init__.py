"""The vision gateway: a part arrives, is seen, is judged, and the line acts on it before the part reaches the gate.

Reading order:

* ``core`` — pure facts and rules: parts, verdicts, tags, the handshake, the tracker.
* ``frames`` — the shared-memory ring in which pixels live once.
* ``record`` — the journal of what happened, the database of what was done about it, the pictures kept.
* ``plc`` — drivers, the one link with its claim and heartbeat, tag maps.
* ``vision`` — cameras, the capture process, model packages, the OpenVINO engine.
* ``monitoring``, ``actions`` — trend and imaging statistics; rules that answer them.
* ``opcua`` — the tags that SCADA reads.
* ``control`` — one process a line; ``control/line.py`` tells the story of one part.
* ``services`` — one process that hangs everything else on the record stream.
* ``learning`` — from a folder of pictures to a model package.
* ``yaml_source``, ``process`` — how a person's file is read with places; how a child process begins and ends.
* ``config``, ``app``, ``cli`` — the file, the supervisor, the commands.
"""
