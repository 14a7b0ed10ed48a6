"""Tag maps in other people's forms: tables (CSV, XLSX), TIA Portal, Kepware, Ignition, and the PLC's own programs.

It stands above ``plc``, whose models say what a map is, and below the command line. It knows no device and no process: files go
in and files come out. What a form cannot hold is said by name, never left out in silence.
"""
