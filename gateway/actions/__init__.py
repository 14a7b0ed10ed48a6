"""Rules that answer what the monitors find, as pure decisions: what may be done, what forbids it, what came of it.

Reading order: ``adjust`` (one guarded step of one parameter), ``setpoint`` (who moved the parameter), ``course`` (from one step
to the proof that it helped). It must not know a socket, a clock or a database; services carries its decisions out.
"""
