"""Packets that vanish between two network namespaces: nobody is told, and TCP delivers late what it still holds.

Unlike behind the fault proxy, here the kernel itself goes on sending after the link has given its socket up: an old request
may reach the PLC behind newer ones. What no fault excuses is checked in ``fault_line.check``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.core.errors import DeviceUnavailable
from gateway.core.tags import Span
from tests.integration.fault_line import fault_line
from tests.integration.namespaces import PLC, Cable, Side
from tests.integration.namespaces import cable as cable
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand


@contextlib.asynccontextmanager
async def plc_over(cable: Cable, protocol: str) -> AsyncIterator[Stand]:
    """Run the PLC on its side of the cable, and stay on the gateway's."""
    context = plc_stand(protocol, host=PLC)
    with cable.on("plc"):
        plc = await context.__aenter__()
    try:
        with cable.on("gateway"):
            yield plc
    finally:
        await context.__aexit__(None, None, None)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mute", [("plc",), ("plc", "gateway")], ids="-".join)
async def test_a_black_hole_is_noticed_by_the_time_out_and_recovered_from(
    protocol: str, mute: Sequence[Side], cable: Cable
) -> None:
    async with plc_over(cable, protocol) as plc, fault_line(plc, plc.port, host=PLC) as line:
        await line.up()
        for side in mute:
            cable.swallow(side)
        await line.parts(20)
        assert line.link.state == "down"
        assert line.whys()[-1].endswith("no answer within 150 ms")
        for side in mute:
            cable.deliver(side)
        await line.up()


async def test_a_cable_that_is_pulled_and_plugged_in_again(cable: Cable) -> None:
    async with plc_over(cable, "s7") as plc, fault_line(plc, plc.port, host=PLC) as line:
        await line.up()
        cable.pull()
        await line.parts(20)
        assert line.link.state == "down"
        cable.plug()
        await line.up()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_request_that_was_given_up_is_never_delivered_late(protocol: str, cable: Cable) -> None:
    """The kernel would go on sending for a socket that was merely closed, and put old tokens over newer ones."""
    async with plc_over(cable, protocol) as plc:
        driver = plc.driver(host=PLC)
        await driver.connect()
        nonce = plc.loaded.map.roles["claim.nonce"]
        span = Span(block=plc.loaded.map.down, offset=nonce.offset, length=nonce.size)
        cable.swallow("gateway")
        with pytest.raises(DeviceUnavailable, match="no answer within"):
            await driver.write(span, b"\1\2\3\4")
        cable.deliver("gateway")
        await asyncio.sleep(1.0)
        assert plc.logic.down[nonce.offset : nonce.offset + 4] == b"\0\0\0\0"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_what_a_dying_process_has_not_delivered_is_dropped_too(protocol: str) -> None:
    """Set from the connection's first moment on: nobody can set it after a ``kill -9``."""
    async with plc_stand(protocol) as plc:
        driver = plc.driver()
        await driver.connect()
        client = driver._client
        transport = client.ctx.transport if protocol == "modbus" else client.connection._writer.transport
        linger = transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        assert struct.unpack("ii", linger) == (1, 0)
        await driver.close()
