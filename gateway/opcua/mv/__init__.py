"""The Machine Vision model (OPC 40100-1), built in code with the ids of the specification.

Reading order: ``namespace``, ``structs`` (what goes over the wire), ``spec`` (the tables), ``ids`` (a node by its path),
``dictionary``, ``types`` (tables → nodes).
"""
