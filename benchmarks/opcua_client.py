"""Lean OPC UA load: clients that take data changes as fast as they come and note how old each value is when it arrives.

The library's client costs several times more than the server that is measured here; it only connects and subscribes. Then the
answers are decrypted and scanned in place: values are stepped over, server timestamps read. Low priority: real clients have
computers of their own.

First line of stdin: options as JSON; then "begin" and "end", between which is counted. Prints "ready" and "measured".
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.ua_binary import nodeid_to_binary, struct_from_binary

from gateway.opcua.security import own_certificate

APPLICATION = "urn:vision-gateway:benchmark"
EPOCH_100NS = 116_444_736_000_000_000
"""1970 in OPC UA's time: 100 ns since 1601."""
LATEST_MS = 20_000
OUTSTANDING = 3
GOODBYE_S = 2.0
_PUBLISH = struct.pack("<BBH", 1, 0, ObjectIds.PublishRequest_Encoding_DefaultBinary)
_CLOSE = struct.pack("<BBH", 1, 0, ObjectIds.CloseSessionRequest_Encoding_DefaultBinary)
_PUBLISHED = struct.pack("<BBH", 1, 0, ObjectIds.PublishResponse_Encoding_DefaultBinary)
_DATA_CHANGE = struct.pack("<BBH", 1, 0, ObjectIds.DataChangeNotification_Encoding_DefaultBinary)
#: Bytes of a value by its type's number, -1 for those that begin with their length: up to String, DateTime, ByteString.
_SIZES = (0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, -1, 8, 16, -1)
_I32, _I64, _U32 = struct.Struct("<i"), struct.Struct("<q"), struct.Struct("<I")


class Count:
    """What all clients of this process have seen."""

    def __init__(self) -> None:
        """Start at nothing."""
        self.reset()

    def reset(self) -> None:
        """Start anew."""
        self.begin = time.monotonic()
        self.notifications = self.messages = self.faults = 0
        self.by_ms = [0] * (LATEST_MS + 1)
        """Notifications by their age in whole ms."""

    def scan(self, b: bytes, p: int, count: int) -> None:
        """Note the age of ``count`` notifications from ``p`` on."""
        now, by_ms, sizes, stamp_at, length_at = time.time_ns() // 100 + EPOCH_100NS, self.by_ms, _SIZES, _I64, _I32
        for _ in range(count):
            mask = b[p + 4]
            p += 5
            if mask & 1:
                size = sizes[b[p]]
                p += 1
                p += size if size >= 0 else 4 + max(0, length_at.unpack_from(b, p)[0])
            if mask & 2:
                p += 4
            stamp = now
            if mask & 4:
                (stamp,) = stamp_at.unpack_from(b, p)
                p += 8
            if mask & 16:
                p += 2
            if mask & 8:
                (stamp,) = stamp_at.unpack_from(b, p)
                p += 8
            if mask & 32:
                p += 2
            by_ms[min(max((now - stamp) // 10_000, 0), LATEST_MS)] += 1
        self.notifications += count

    def measured(self) -> dict[str, Any]:
        """Return it as the event that is printed."""
        return {
            "event": "measured",
            "seconds": time.monotonic() - self.begin,
            "notifications": self.notifications,
            "messages": self.messages,
            "faults": self.faults,
            "by_ms": {ms: n for ms, n in enumerate(self.by_ms) if n},
        }


class Publishing(asyncio.Protocol):
    """Takes the connection of a client that has subscribed, and from then on only asks for notifications and scans them."""

    def __init__(self, client: Client, count: Count) -> None:
        """Take over; the answers begin to come at once."""
        before = client.uaclient.protocol
        self._connection, self._transport = before._connection, before.transport  # noqa: SLF001 - it is taken over
        self._request = before._request_id  # noqa: SLF001
        self._token = nodeid_to_binary(before.authentication_token)
        self._count = count
        self._held = bytearray()
        self._parts = b""
        self._transport.set_protocol(self)
        for _ in range(OUTSTANDING):
            self._ask()

    def _ask(self, ack: bytes = b"\0\0\0\0") -> None:
        self._request += 1
        now = time.time_ns() // 100 + EPOCH_100NS
        header = struct.pack("<qIIiIHB", now, self._request, 0, -1, 0, 0, 0)
        body = _PUBLISH + self._token + header + ack
        self._transport.write(self._connection.message_to_binary(body, request_id=self._request))

    def data_received(self, data: bytes) -> None:
        """Take bytes from the wire."""
        held = self._held
        held += data
        while len(held) >= 8 and len(held) >= (size := _U32.unpack_from(held, 4)[0]):
            frame = bytes(held[:size])
            del held[:size]
            crypto = self._connection.security_policy.symmetric_cryptography
            plain = crypto.decrypt(frame[16:])
            end = len(plain) - crypto.vsignature_size()
            self._parts += plain[8 : end - plain[end - 1] - 1]
            if frame[3] == ord("F"):
                message, self._parts = self._parts, b""
                self._answer(message)

    def _answer(self, b: bytes) -> None:
        if b[:4] != _PUBLISHED:
            self._count.faults += 1
            self._ask()
            return
        p = 4 + 8 + 4 + 4 + 1  # id, time, handle, result, no diagnostics
        p += 4 * (1 + max(0, _I32.unpack_from(b, p)[0])) + 3  # no strings, no additional header
        subscription = b[p : p + 4]
        p += 4
        p += 4 * (1 + max(0, _I32.unpack_from(b, p)[0])) + 1  # what may be acknowledged, whether more is to come
        number = b[p : p + 4]
        (parts,) = _I32.unpack_from(b, p + 12)
        p += 16
        for _ in range(max(0, parts)):
            kind, (size,) = b[p : p + 4], _I32.unpack_from(b, p + 5)
            p += 9
            if kind == _DATA_CHANGE:
                (count,) = _I32.unpack_from(b, p)
                self._count.scan(b, p + 4, count)
            p += size
        self._count.messages += 1
        self._ask(b"\1\0\0\0" + subscription + number if parts > 0 else b"\0\0\0\0")

    def close(self) -> None:
        """Close the session: the server would keep one whose connection is gone for its client to come back."""
        self._request += 1
        header = struct.pack("<qIIiIHB", 0, self._request, 0, -1, 0, 0, 0)
        body = _CLOSE + self._token + header + b"\1"
        self._transport.write(self._connection.message_to_binary(body, request_id=self._request))

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it as a fault: nobody but the parent ends the load."""
        self._count.faults += 1


async def one_client(options: dict[str, Any], count: Count, n: int) -> Publishing:
    """Connect, subscribe, and take over."""
    client = Client(options["url"], timeout=60)
    client.application_uri = APPLICATION
    client.session_timeout = 600_000
    own = own_certificate(Path(options["folder"]) / "client-pki", APPLICATION, "127.0.0.1")
    server = options.get("server_certificate")
    await client.set_security(SecurityPolicyBasic256Sha256, str(own.certificate), str(own.key), server_certificate=server)
    if options.get("user"):
        client.set_user(options["user"])
        client.set_password(options["password"])
    await client.connect()
    for task in (client._supervisor_task, client._stale_watchdog_task, client._renew_channel_task):  # noqa: SLF001
        await client._cancel_task(task)  # noqa: SLF001
    protocol, interval = client.uaclient.protocol, options["interval_ms"]
    subscribe = ua.CreateSubscriptionRequest()
    subscribe.Parameters = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=interval,
        RequestedLifetimeCount=10_000,
        RequestedMaxKeepAliveCount=100,
        PublishingEnabled=True,
    )
    answer = struct_from_binary(ua.CreateSubscriptionResponse, await protocol.send_request(subscribe))
    nodes = [ua.NodeId.from_string(text) for text in islice(cycle(options["nodes"]), options["items"])]
    for at in range(0, len(nodes), 500):
        items = ua.CreateMonitoredItemsRequest()
        items.Parameters = ua.CreateMonitoredItemsParameters(
            SubscriptionId=answer.Parameters.SubscriptionId,
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=[
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(node, ua.AttributeIds.Value),
                    ua.MonitoringMode.Reporting,
                    ua.MonitoringParameters(
                        ClientHandle=at + i, SamplingInterval=interval, QueueSize=options["queue"], DiscardOldest=True
                    ),
                )
                for i, node in enumerate(nodes[at : at + 500])
            ],
        )
        made = struct_from_binary(ua.CreateMonitoredItemsResponse, await protocol.send_request(items))
        for result in made.Results:
            result.StatusCode.check()
    return Publishing(client, count)


async def run() -> None:
    """Connect, then count between "begin" and "end"."""
    options = json.loads(sys.stdin.readline())
    count = Count()
    clients = [await one_client(options, count, n) for n in range(options["clients"])]
    print('{"event":"ready"}', flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if line.strip() == "begin":
            count.reset()
        else:
            print(json.dumps(count.measured()), flush=True)
    for client in clients:
        client.close()
    await asyncio.sleep(GOODBYE_S)


if __name__ == "__main__":
    os.nice(5)
    asyncio.run(run())
