"""One line's PLC, read only: reachable, permitted, laid out as the map says, alive, owned by whom, how fast.

Each step needs the one before; the first that fails ends the look, with what a person at the cabinet must change. It claims
nothing, so that it may look while a gateway runs.
"""

from __future__ import annotations

import asyncio
import re
import socket
import statistics
import time
from collections.abc import AsyncIterator

from gateway.core.errors import DeviceError, DeviceRefused
from gateway.core.handshake import HEARTBEAT_MS, LINK_TIMEOUT_MS, WATCHDOG_MS
from gateway.core.tags import Scalar, Span
from gateway.doctor.finding import Finding, error, ok, warning
from gateway.doctor.probe import probe
from gateway.doctor.wire import Reader
from gateway.plc.exchange import Exchange
from gateway.plc.map_file import MemoryConfig
from gateway.plc.maps import LoadedMap
from gateway.plc.s7 import READ_OVERHEAD, WRITE_OVERHEAD, S7Driver

TCP_TIMEOUT_S = 2.0
ROUND_TRIPS = 20
SLOW_MS = LINK_TIMEOUT_MS / 5
REJECTS = "the line has no tokens, so the PLC rejects every part"

#: What an S7 CPU says when it says no: (pattern of the library's words, what it is, what to do).
S7_REFUSALS = (
    (
        r"class=0x8[13]",
        "the CPU refuses PUT/GET",
        "in TIA Portal: CPU properties, Protection & Security, 'Permit access with PUT/GET'; download the hardware",
    ),
    (
        r"\(0x03\)",
        "the CPU denies access to the block",
        "set the CPU's access level to full access (or read and write for HMI), and switch off 'Optimized block access'",
    ),
    (
        r"\(0x0a\)",
        "there is no such block, or it is optimised and so has no addresses",
        "download the block; in its properties switch off 'Optimized block access' and compile again",
    ),
    (
        r"\(0x05\)",
        "the block is shorter than the map, or optimised",
        "download the block that belongs to the map; in its properties switch off 'Optimized block access'",
    ),
)
#: The same for Modbus, by exception code.
MODBUS_REFUSALS = {
    1: ("the device does not offer this function", "map the block to an area that the device serves"),
    2: ("the block is not where the map says", "correct area and at; `gateway map probe` shows what stands where"),
    10: ("a gateway on the way has no path to the unit", "correct plc.unit, or the gateway's routing"),
    11: ("the unit behind a gateway does not answer", "correct plc.unit; most PLCs with a port of their own are unit 1 or 255"),
}


async def plc(line: str, loaded: LoadedMap) -> AsyncIterator[Finding]:
    """Look at the PLC of one line."""
    config = loaded.plc
    if isinstance(config, MemoryConfig):
        yield warning("plc", "driver: memory is a PLC in a test's memory", REJECTS, "name the real PLC", line)
        return
    where = f"{config.host}:{config.port}"
    if (found := await _tcp(line, config.host, config.port)).severity == "error":
        yield found
        return
    yield found
    driver = config.build(loaded.map)
    reader = Reader(driver)
    try:
        try:
            await reader.connect()
        except DeviceError as refused:
            remedy = "look at rack and slot (S7-1200/1500: 0 and 1; S7-300: 0 and 2), and at the number of connections in use"
            yield error("plc.connect", f"{where} speaks TCP, but: {refused}", REJECTS, remedy, line)
            return
        if isinstance(driver, S7Driver):
            yield _pdu(line, driver.pdu_bytes, loaded)
        async for found in _blocks(line, loaded, reader):
            yield found
    finally:
        await reader.close()


async def _tcp(line: str, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(TCP_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        what = f"{host}:{port} does not answer within {TCP_TIMEOUT_S:g} s"
        return error("plc.tcp", what, REJECTS, "PLC on? address right? cable, VLAN, firewall?", line)
    except socket.gaierror as refused:
        return error("plc.tcp", f"{host} does not resolve: {refused.strerror}", REJECTS, "write the address into the map", line)
    except OSError as refused:
        what = f"{host}:{port}: {refused.strerror or refused}"
        remedy = "something answers there, but nothing listens on this port: is the port right, the server in the PLC active?"
        return error("plc.tcp", what, REJECTS, remedy, line)
    writer.close()
    return ok("plc.tcp", f"{host}:{port} accepts connections", line)


def _pdu(line: str, offered: int, loaded: LoadedMap) -> Finding:
    exchange = Exchange(loaded.map)
    need = max(exchange.up.length + READ_OVERHEAD, exchange.token_span.length + WRITE_OVERHEAD)
    if offered < need:
        what = f"the PLC offers a PDU of {offered} bytes, {need} are needed"
        return error("plc.pdu", what, REJECTS, "drop or move process tags into a block of their own", line)
    return ok("plc.pdu", f"{offered} bytes, {need} are needed", line)


async def _blocks(line: str, loaded: LoadedMap, reader: Reader) -> AsyncIterator[Finding]:
    tag_map = loaded.map
    refused = False
    for block in tag_map.blocks:
        try:
            await reader.read(Span(block=block, offset=0, length=min(block.size, 32)))
            await reader.read(Span(block=block, offset=block.size - 2, length=2))
        except DeviceError as why:
            refused = True
            yield _refusal(line, block.name, loaded.plc.driver, why)
    if refused:
        return
    yield ok("plc.access", f"{', '.join(b.name for b in tag_map.blocks)} can be read from end to end", line)
    found = await probe(loaded, reader)
    if found.sentinels:
        remedy = "correct the map as it says; `gateway map probe` shows every tag"
        yield error(
            "plc.order", found.sentinels, "every number would be read wrongly; the gateway refuses to run", remedy, line
        )
        return
    yield ok("plc.order", f"both sentinels are right in order {tag_map.order}", line)
    if found.checksum:
        meaning = "a tag may stand elsewhere than the map says; the gateway refuses to run"
        remedy = "download the blocks that `gateway map export` makes of this map, or correct the map"
        yield error("plc.checksum", found.checksum, meaning, remedy, line)
    else:
        yield ok("plc.checksum", f"16#{loaded.checksum:08X} on both sides", line)
    async for said in _life(line, loaded, reader):
        yield said


def _refusal(line: str, block: str, driver: str, why: DeviceError) -> Finding:
    what, remedy = meaning(driver, str(why), refused=isinstance(why, DeviceRefused))
    check = "plc.put-get" if "PUT/GET" in what else "plc.access"
    return error(check, what, REJECTS, remedy, f"{line}.{block}")


def meaning(driver: str, words: str, *, refused: bool) -> tuple[str, str]:
    """Return what it means that a PLC refuses to be read, or does not answer, in these words, and what to do about it."""
    if not refused:
        remedy = "correct plc.unit: a unit that is not there stays silent" if driver == "modbus" else "look at the network"
        return words, remedy
    if driver == "modbus":
        match = re.search(r"exception (\d+)", words)
        known = MODBUS_REFUSALS.get(int(match[1]) if match else 0)
        return (f"{known[0]} ({words})", known[1]) if known else (words, "look at the device's manual")
    for pattern, what, remedy in S7_REFUSALS:
        if re.search(pattern, words):
            return f"{what} ({words.partition(';')[0]})", remedy
    return words, "look at the CPU's diagnostic buffer"


async def _life(line: str, loaded: LoadedMap, reader: Reader) -> AsyncIterator[Finding]:
    """Look for the heart of the PLC, for an owner, and at the time that a request takes."""
    tag_map, exchange = loaded.map, Exchange(loaded.map)
    status = Span(block=tag_map.down, offset=0, length=8)
    reader.round_trips_ms.clear()
    plc_beats, gateway_beats = set(), set()
    values: dict[str, Scalar] = {}
    until = time.monotonic() + 2 * WATCHDOG_MS / 1e3
    while time.monotonic() < until or len(reader.round_trips_ms) < ROUND_TRIPS:
        values = exchange.values(await reader.read(exchange.up))
        plc_beats.add(values["PlcHeartbeat"])
        gateway_beats.add(await reader.read(status))
        await asyncio.sleep(HEARTBEAT_MS / 1e3 / 4)
    if len(plc_beats) == 1:
        what = f"PlcHeartbeat stands at {plc_beats.pop()}"
        yield error("plc.heartbeat", what, "the PLC is in STOP, or the function block is not called", "set it to RUN", line)
    else:
        yield ok("plc.heartbeat", f"PlcHeartbeat moves ({len(plc_beats)} values in {2 * WATCHDOG_MS} ms)", line)
    owner = int(values["OwnerEpochEcho"])
    if len(gateway_beats) > 1:
        yield ok("plc.owner", f"a gateway lives here, epoch 16#{owner:08X}; another one would wait", line)
    elif owner:
        yield ok("plc.owner", f"nobody writes; the last owner's epoch 16#{owner:08X} is still there and will be replaced", line)
    else:
        yield ok("plc.owner", "nobody", line)
    trips = sorted(reader.round_trips_ms)
    typical, most = statistics.median(trips), trips[-1]
    what = f"{typical:.1f} ms typical, {most:.1f} ms at most of {len(trips)} requests"
    if most > LINK_TIMEOUT_MS / 2 or typical > SLOW_MS:
        why = f"a request that takes {LINK_TIMEOUT_MS} ms breaks the link, and each part waits for at least two"
        yield warning("plc.speed", what, why, "raise the CPU's communication load, look at switches and wireless", line)
    else:
        yield ok("plc.speed", what, line)
