"""``gateway opcua …``: whom the OPC UA server trusts, who may log in, commissioning mode, and what is served.

All of it works on files that a running gateway watches; nothing here connects to it.
"""

from __future__ import annotations

from typing import Any

from gateway.cli import opcua_commissioning, opcua_export, opcua_pki, opcua_user


def add(subparsers: Any) -> None:
    """Add ``opcua``."""
    parser = subparsers.add_parser("opcua", help="OPC UA: certificates, users, commissioning, exports", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    opcua_pki.add(actions)
    opcua_user.add(actions)
    opcua_commissioning.add(actions)
    opcua_export.add(actions)
