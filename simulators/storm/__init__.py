"""The storm: a whole line in one process and in virtual time, under faults that a seed draws, judged by the world's ledger.

What runs is the gateway's own control path (line, link, tracker, writer, drivers) with unmodified protocol libraries over
connections in memory; the belt, the PLC's program, the camera and the engine are stand-ins. ``python -m simulators.storm``.

This package alone among the simulators imports the gateway: it is the rig that joins the two halves, and neither half may
import it. The oracle still judges by the world's ledger, with no code of the gateway.

Read :mod:`.loop`, :mod:`.network`, :mod:`.plant`, :mod:`.gateway`, :mod:`.faults`, :mod:`.episode` in this order.
"""
