"""Where the types of OPC 40100-1 live. Their index is fixed, so that their ids can be constants."""

from __future__ import annotations

from asyncua import ua

URI = "http://opcfoundation.org/UA/MachineVision"
XML_URI = f"{URI}/Types.xsd"
VERSION = "1.0.0"
NS = ua.Int16(3)
"""Always: 0 is the standard's, 1 the application's, 2 our own."""


def mv(id: int) -> ua.NodeId:
    """Return the node with this number."""
    return ua.NodeId(ua.Int32(id), NS)
