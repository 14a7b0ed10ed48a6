"""Tools that look at an installation: ``doctor`` at all of it, ``probe`` at one PLC's tags, ``commission`` at its program.

Reading order: ``wire`` (reading a PLC without the link) → ``search`` (where a value stands) → ``probe`` → ``commission`` →
``finding`` → one file for each field that doctor checks → ``doctor``. Nothing of the gateway imports it but the command line.
"""
