"""The OPC UA server against bytes and sockets of strangers: row 16 of the library's traps."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import weakref
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from asyncua import ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from gateway.opcua import budget, channel, crowd, wire
from tests.integration.opcua_stand import (
    UP,
    VALUES,
    OpcUaStand,
    node,
    nothing_left,
    opcua_stand,
    raw,
    request,
    string,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
GET_ENDPOINTS = ObjectIds.GetEndpointsRequest_Encoding_DefaultBinary


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OpcUaStand]:
    async with opcua_stand(tmp_path_factory.mktemp("opcua")) as running:
        await running.show(UP, VALUES)
        yield running


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _nothing_left(stand: OpcUaStand) -> AsyncIterator[None]:
    async with nothing_left(stand):
        yield
        assert await stand.refused() == 0, "and whoever is honest is still let in"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be closed merely for being idle."""
    monkeypatch.setattr(wire, "ACTIVATION_S", 600.0)
    monkeypatch.setattr(wire, "PACE_S", 0.0)


# --- bytes from strangers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"MSGF" + struct.pack("<I", 0xFFFF_FFFF), id="4 GiB announced"),
        pytest.param(b"HELF" + struct.pack("<I", 65536), id="hello of 64 KiB"),
        pytest.param(b"OPNF" + struct.pack("<I", 1 << 20), id="channel of 1 MiB"),
        pytest.param(b"HELF" + struct.pack("<I", 0), id="size 0"),
        pytest.param(b"MSGF" + struct.pack("<I", 8), id="no room for its header"),
        pytest.param(b"HELF" + struct.pack("<I", 12) + b"\0\0\0\0", id="hello cut short"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(b"\0" * 64, id="zeros"),
        pytest.param(b"CLOF" + struct.pack("<III", 20, 1, 1) + bytes(8), id="closing what is not open"),
        pytest.param(b"MSGC" + struct.pack("<IIIII", 24, 0, 9, 1, 1), id="a token that was never given"),
    ],
)
async def test_what_is_no_message_ends_the_connection(stand: OpcUaStand, frame: bytes) -> None:
    async with raw(stand) as client:
        client.writer.write(frame)
        assert await client.closed()


@pytest.mark.parametrize("size", [0, 1, 8191])
async def test_a_client_with_buffers_too_small_for_anything_is_refused(stand: OpcUaStand, size: int) -> None:
    async with raw(stand) as client:
        body = struct.pack("<IIIII", 0, size, size, 0, 0) + string("opc.tcp://127.0.0.1/")
        client.send(b"HELF", body)
        assert await client.error() == StatusCodes.BadTcpNotEnoughResources


def open_channel(certificate: bytes | None, policy: str = SecurityPolicyBasic256Sha256.URI) -> bytes:
    return struct.pack("<I", 0) + string(policy) + string(certificate) + string(b"\0" * 20) + bytes(256)


@pytest.mark.parametrize(
    "certificate",
    [None, b"", b"\x30", b"\x30\x82", b"\x30\x82\xff\xff" + bytes(50), b"\xff" * 300, bytes(2000)],
    ids=["none", "empty", "one byte", "a header", "cut short", "noise", "zeros"],
)
async def test_a_damaged_certificate_is_refused(stand: OpcUaStand, certificate: bytes | None) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        client.send(b"OPNF", open_channel(certificate))
        assert await client.error() == StatusCodes.BadSecurityChecksFailed


async def test_half_a_certificate_of_a_trusted_client_is_refused(stand: OpcUaStand) -> None:
    der = stand.own.certificate.read_bytes()
    for cut in (4, 100, len(der) // 2, len(der) - 1):
        async with raw(stand) as client:
            assert await client.hello() == b"ACK"
            client.send(b"OPNF", open_channel(der[:cut]))
            assert await client.error() == StatusCodes.BadSecurityChecksFailed


async def test_a_stolen_certificate_without_its_key_opens_nothing(stand: OpcUaStand) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        client.send(b"OPNF", open_channel(stand.own.certificate.read_bytes()))
        assert await client.closed()


async def test_a_policy_that_is_not_offered_opens_nothing(stand: OpcUaStand) -> None:
    for policy in ("Basic128Rsa15", "Basic256"):
        async with raw(stand) as client:
            assert await client.hello() == b"ACK"
            uri = f"http://opcfoundation.org/UA/SecurityPolicy#{policy}"
            client.send(b"OPNF", open_channel(stand.own.certificate.read_bytes(), uri))
            assert await client.closed()


def extra_header(variant: bytes) -> bytes:
    """Return an additional header that is decoded before anybody has logged in: a literal operand with this variant."""
    return struct.pack("<BBH", 1, 0, ObjectIds.LiteralOperand_Encoding_DefaultBinary) + b"\x01" + string(variant)


MANY = struct.pack("<i", 0x7FFF_FFFF)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(b"\x80" + MANY, id="two billion nulls"),
        pytest.param(b"\x8c" + MANY + struct.pack("<i", -4), id="strings that go backwards"),
        pytest.param((b"\x98" + struct.pack("<i", 1)) * 10_000, id="nested variants"),
        pytest.param(b"\xc3" + struct.pack("<iiii", 0, 2, 1000, 1000), id="a matrix of nothing"),
    ],
)
async def test_a_small_message_cannot_ask_for_much(stand: OpcUaStand, variant: bytes) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        client.send_message(request(GET_ENDPOINTS, more_header=extra_header(variant)))
        assert await client.closed()


async def test_a_long_message_of_a_stranger_is_not_decoded(stand: OpcUaStand) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        body = request(GET_ENDPOINTS, string("x" * 100_000))
        for n, at in enumerate(range(0, len(body), 60_000)):
            part = body[at : at + 60_000]
            kind = b"MSGF" if at + 60_000 >= len(body) else b"MSGC"
            client.send(kind, struct.pack("<IIII", 0, 0, n + 1, 1) + part)
        assert await client.error() == StatusCodes.BadRequestTooLarge


async def test_a_message_of_endless_pieces_is_dropped(stand: OpcUaStand) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        for n in range(wire.MAX_CHUNKS + 1):
            client.send(b"MSGC", struct.pack("<IIII", 0, 0, n + 1, 1) + b"x")
        assert await client.closed()


# --- short questions with long answers, and long questions -----------------------------------------------------------------


BINARY_SCHEMA = ua.ReadValueId(ua.NodeId(ObjectIds.OpcUa_BinarySchema), ua.AttributeIds.Value)
"""The largest value of the standard: 200 kB."""


async def test_the_largest_value_is_read_and_no_answer_holds_it_a_thousand_times(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        session = client.uaclient.session
        answers = await session.read(ua.ReadParameters(NodesToRead=[BINARY_SCHEMA] * 4))
        assert min(len(a.Value.Value) for a in answers) > 200_000, "also the library's client takes an answer that long"
        for many in (8, 2000):
            with pytest.raises(ua.UaStatusCodeError) as refused:
                await session.read(ua.ReadParameters(NodesToRead=[BINARY_SCHEMA] * many))
            assert refused.value.code == StatusCodes.BadResponseTooLarge
        part = ua.ReadValueId(BINARY_SCHEMA.NodeId, ua.AttributeIds.Value, IndexRange="0:9")
        answers = await session.read(ua.ReadParameters(NodesToRead=[part] * 100))
        assert {len(a.Value.Value) for a in answers} == {10}, "what counts is what is answered"


async def test_calls_that_no_longer_fit_into_the_answer_are_not_made(
    stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    async def call(caller: object, request: ua.CallMethodRequest) -> ua.CallMethodResult:
        made.append(1)
        return ua.CallMethodResult(OutputArguments=[ua.Variant(b"x" * 400)])

    monkeypatch.setattr(budget, "MAX_ANSWER", 1000)
    async with stand.connected():
        (session,) = stand.iserver.sessions()
        monkeypatch.setattr(session._methods, "call", call)
        results = await session.call([ua.CallMethodRequest()] * 9)
    codes = [r.StatusCode.value for r in results]
    assert codes == [StatusCodes.Good] * 3 + [StatusCodes.BadResponseTooLarge] * 6
    assert len(made) == 3


async def test_a_subscription_of_the_largest_value_sends_it_in_messages_of_bounded_size(
    stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = channel.Processor.forward_publish_response

    async def measuring(self: channel.Processor, result: ua.PublishResult, request: Any) -> None:
        sizes.append(sum(len(data.Body) for data in result.NotificationMessage.NotificationData))
        await forward(self, result, request)

    class Handler:
        seen = 0

        def datachange_notification(self, *change: object) -> None:
            self.seen += 1

    monkeypatch.setattr(channel.Processor, "forward_publish_response", measuring)
    handler = Handler()
    async with stand.connected() as client:
        subscription = await client.create_subscription(100, handler)
        what = client.get_node(BINARY_SCHEMA.NodeId)
        await subscription.subscribe_data_change([what] * 20)
        await until(lambda: handler.seen == 20, "all have arrived, and nobody was taken for one who does not read")
    assert sum(sizes) > 20 * 200_000
    assert max(sizes) <= budget.MAX_ANSWER + 8


async def test_messages_wait_while_the_client_has_enough_to_read() -> None:
    unread = channel.MAX_UNREAD // 2 + 1
    processor = SimpleNamespace(
        _transport=SimpleNamespace(get_write_buffer_size=lambda: unread), _publish_results_subs={}, _publish_requests=[1]
    )
    assert channel.Processor.get_publish_request(processor, ua.UInt32(3)) is None  # type: ignore[arg-type]
    assert list(processor._publish_results_subs) == [3], "it is asked again with the client's next request"
    assert processor._publish_requests == [1]


def writing(size: int) -> ua.WriteParameters:
    value = ua.DataValue(ua.Variant(bytes(size)))
    return ua.WriteParameters([ua.WriteValue(ua.NodeId(ObjectIds.Server), ua.AttributeIds.Value, Value=value)])


async def test_a_long_request_is_for_users_with_a_name_and_has_its_limit_too(stand: OpcUaStand) -> None:
    async def closed(client: Any, size: int) -> None:
        with pytest.raises((ua.UaError, ConnectionError)):
            await client.uaclient.session.write(writing(size))
        await until(lambda: not stand.iserver.asyncio_transports, "the connection is closed")

    client = await stand.client()
    await client.connect()
    (status,) = await client.uaclient.session.write(writing(200_000))
    assert not status.is_good(), "it was looked at"
    await closed(client, channel.MAX_REQUEST)
    with contextlib.suppress(ua.UaError, ConnectionError):
        await client.disconnect()

    client = await stand.client()
    await client.connect()
    (session,) = [s for s in stand.iserver.sessions() if s.is_activated()]
    session.account = None  # as one whom commissioning lets in without a name
    await closed(client, channel.MAX_CHUNK)
    with contextlib.suppress(ua.UaError, ConnectionError):
        await client.disconnect()


async def test_things_are_counted_before_they_are_decoded(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stand.connected() as client:
        what = ua.ReadValueId(node(client, "Status.Online").nodeid, ua.AttributeIds.Value)
        monkeypatch.setattr(budget, "MAX_ELEMENTS", 5)
        assert len(await client.uaclient.session.read(ua.ReadParameters(NodesToRead=[what] * 5))) == 5
        with pytest.raises(ua.UaStatusCodeError) as refused:
            await client.uaclient.session.read(ua.ReadParameters(NodesToRead=[what] * 6))
        assert refused.value.code == StatusCodes.BadTooManyOperations


# --- sockets --------------------------------------------------------------------------------------------------------------


async def test_connections_of_one_address_are_limited(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "MAX_PER_PEER", 3)
    async with stand.connected() as live, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(raw(stand)) for _ in range(2)]
        for client in clients:
            assert await client.hello() == b"ACK"
        async with raw(stand) as newcomer:
            assert await newcomer.hello() == b"ACK"
            assert await clients[0].closed(), "the oldest that has shown nothing gives way"
            assert len(stand.iserver.asyncio_transports) == 3
        assert await node(live, "Status.Online").read_data_value(raise_on_bad_status=False), "who has logged in never"


async def test_when_all_have_logged_in_a_further_one_is_refused(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "MAX_PER_PEER", 1)
    async with stand.connected() as live, raw(stand) as one_too_many:
        assert await one_too_many.closed()
        assert await node(live, "Status.Online").read_data_value(raise_on_bad_status=False)


@pytest.mark.parametrize("limit", ["MAX_CONNECTIONS", "MAX_PENDING"])
async def test_connections_of_all_are_limited(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(crowd, limit, 1)
    async with raw(stand) as first, raw(stand) as second:
        assert await first.closed()
        assert await second.hello() == b"ACK"


async def test_a_connection_without_a_session_is_closed(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ACTIVATION_S", 0.2)
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        assert await client.closed()
    monkeypatch.setattr(wire, "ACTIVATION_S", 2.0)
    client = await stand.client()
    await client.connect()
    await client.uaclient.close_session(True)  # and the connection is kept
    await until(lambda: not stand.iserver.asyncio_transports, "the connection is closed")
    with contextlib.suppress(ua.UaError, ConnectionError):
        await client.disconnect()


async def test_a_dead_peer_is_found_by_the_system(stand: OpcUaStand) -> None:
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        (transport,) = stand.iserver.asyncio_transports
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


async def flood(stand: OpcUaStand, client: Any, enough: int) -> None:
    """Ask for endpoints again and again without reading an answer, until more than ``enough`` bytes wait in the server."""
    question = request(GET_ENDPOINTS, string("opc.tcp://127.0.0.1/" + "x" * 4000) + struct.pack("<ii", -1, -1))
    (transport,) = stand.iserver.asyncio_transports
    for n in range(1, 20_000):
        if transport.is_closing() or transport.get_write_buffer_size() > enough:
            return
        client.send_message(question, n, n)
        await asyncio.sleep(0)
    raise AssertionError("the server's answers never piled up")


async def test_a_client_that_does_not_read_is_closed(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "MAX_UNREAD", 1 << 16)
    async with raw(stand) as client:
        assert await client.hello() == b"ACK"
        client.writer.transport.pause_reading()
        await flood(stand, client, channel.MAX_UNREAD)
        # One more question: the answers to the earlier ones still wait.
        client.send_message(request(GET_ENDPOINTS, string("") + struct.pack("<ii", -1, -1)), 30_000, 30_000)
        await until(lambda: not stand.iserver.asyncio_transports, "the connection is closed")


async def test_who_only_asks_is_answered_ever_more_slowly(stand: OpcUaStand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PACE_S", 2.0)
    async with raw(stand) as client, stand.connected() as live:
        assert await client.hello() == b"ACK"
        for n in range(1, 3 * wire.FREE_MESSAGES):
            client.send_message(request(GET_ENDPOINTS, string("") + struct.pack("<ii", -1, -1)), n, n)
        for _ in range(wire.FREE_MESSAGES):
            assert await client.kind() == b"MSG"
        await asyncio.gather(*(node(live, "Plc.LinkUp").read_value() for _ in range(5 * wire.FREE_MESSAGES)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.readexactly(1), 0.1)


async def test_many_questions_at_once_are_all_answered(stand: OpcUaStand) -> None:
    async with stand.connected() as client:
        answers = await asyncio.gather(*(node(client, "Plc.LinkUp").read_value() for _ in range(5 * wire.MAX_WAITING)))
        assert set(answers) == {True}


async def test_a_subscription_leaves_no_logger_behind(stand: OpcUaStand) -> None:
    """The library names one by each subscription's number, and logging keeps what has a name for ever."""

    class Handler:
        def datachange_notification(self, *change: object) -> None: ...

    def named() -> list[str]:
        return [name for name in logging.Logger.manager.loggerDict if name.rpartition(".")[2].isdigit()]

    before = set(named())  # of other tests, which use the library as it is
    async with stand.connected() as client:
        subscription = await client.create_subscription(100, Handler())
        await subscription.subscribe_data_change([node(client, "Status.Online")])
        served = stand.iserver.subscription_service.subscriptions[subscription.subscription_id]
        left = weakref.ref(served.monitored_item_srv.logger)
        assert left() is not None
        assert set(named()) <= before
    del served
    await until(lambda: not stand.iserver.subscription_service.subscriptions, "it is gone")
    await until(lambda: gc.collect() >= 0 and left() is None, "and its logger with it")


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with opcua_stand(tmp_path_factory.mktemp("second")) as second, raw(second) as client:
        assert await client.hello() == b"ACK"
        client.writer.transport.pause_reading()
        await flood(second, client, 0)
        iserver = second.iserver
        async with asyncio.timeout(5):
            await second.server.stop()
        await until(lambda: not iserver.asyncio_transports, "its connection is gone")
