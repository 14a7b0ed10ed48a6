"""The handshake's conformance suite: a PLC held by hand asks a running gateway everything that the contract promises."""
