"""The link against simulated PLCs on real sockets: claim, baseline, tokens, take-over, restart, wrong maps."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from gateway.core.handshake import AdjustResult, VerdictRing
from gateway.core.tags import Scalar
from gateway.core.verdict import Disposition
from gateway.plc.link import Link, UpImage
from tests.integration.plc_stand import PROTOCOLS, Stand, plc_stand, until


class Ear:
    """A listener that passes every part it sees."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.ring = VerdictRing()
        self.states: list[tuple[str, str]] = []
        self.baselines: list[int] = []
        self.lost: list[str] = []
        self.head: int | None = None
        self.acked: set[int] = set()
        self.up: UpImage | None = None

    def on_state(self, state: str, detail: str) -> None:
        self.states.append((state, detail))

    def on_owner_lost(self, reason: str) -> None:
        self.lost.append(reason)
        self.ring.clear()

    def on_baseline(self, up: UpImage) -> None:
        self.baselines.append(up.part_id)
        self.head = up.part_id

    def on_up(self, up: UpImage) -> None:
        self.up = up
        while self.head is not None and self.head != up.part_id:
            self.head += 1
            assert self.link is not None
            self.ring.put(self.head, Disposition.PASS, self.link.epoch)
            self.link.tokens_changed()

    def tokens(self) -> Sequence[tuple[int, int, int]]:
        return self.ring.words()

    def on_tokens_acked(self, part_ids: frozenset[int], t_mono_ns: int) -> None:
        self.acked |= part_ids

    def on_status_written(self) -> None:
        pass

    def alive(self) -> bool:
        return True

    def status(self) -> Mapping[str, Scalar]:
        return {"status1": 1}


@contextlib.asynccontextmanager
async def linked(stand: Stand, seed: int = 1) -> AsyncIterator[tuple[Link, Ear]]:
    ear = Ear()
    link = Link(stand.driver(), stand.loaded.map, stand.loaded.checksum, ear, mono_ns=time.monotonic_ns, seed=seed)
    ear.link = link
    task = asyncio.create_task(link.run())
    try:
        yield link, ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_parts_get_tokens_and_the_plc_latches_them(protocol: str) -> None:
    async with plc_stand(protocol) as stand, linked(stand) as (link, ear):
        await until(lambda: link.state == "up", "link up")
        assert ear.baselines == [0]
        for _ in range(3):
            stand.pass_part()
            await asyncio.sleep(0.02)
        await until(lambda: len(stand.seen("latched")) == 3, "three tokens latched")
        assert {e.verdict for e in stand.seen("latched")} == {"PASS"}
        assert {e.epoch for e in stand.seen("latched")} == {link.epoch}
        assert ear.acked == {1, 2, 3}


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_parts_before_the_link_get_no_token(protocol: str) -> None:
    async with plc_stand(protocol) as stand:
        for _ in range(2):
            stand.pass_part()
        await until(lambda: len(stand.seen("assigned")) == 2, "assigned")
        async with linked(stand) as (link, ear):
            await until(lambda: link.state == "up", "link up")
            assert ear.baselines == [2]
            stand.pass_part()
            await until(lambda: stand.seen("latched"), "token")
            assert [e.part_id for e in stand.seen("latched")] == [3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_link_comes_back_with_the_same_epoch_after_a_cut(protocol: str) -> None:
    async with plc_stand(protocol) as stand, linked(stand) as (link, ear):
        await until(lambda: link.state == "up", "link up")
        epoch = link.epoch
        await stand.server.stop()
        await until(lambda: link.state == "down", "link down")
        stand.pass_part()
        await asyncio.sleep(0.05)
        await stand.server.start("127.0.0.1", stand.port)
        await until(lambda: link.state == "up", "link up again")
        assert link.epoch == epoch
        assert ear.baselines == [0, 1]
        stand.pass_part()
        await until(lambda: stand.seen("latched"), "token")
        assert [e.part_id for e in stand.seen("latched")] == [2]
        assert [s for s, _ in ear.states] == ["up", "down", "up"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_restarted_plc_voids_the_epoch(protocol: str) -> None:
    async with plc_stand(protocol) as stand, linked(stand) as (link, ear):
        await until(lambda: link.state == "up", "link up")
        epoch = link.epoch
        stand.logic.restart()
        await until(lambda: link.state == "up" and link.epoch not in (0, epoch), "a new epoch")
        assert ear.lost


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_plc_in_stop_is_noticed_and_taken_up_again(protocol: str) -> None:
    async with plc_stand(protocol) as stand, linked(stand) as (link, ear):
        await until(lambda: link.state == "up", "link up")
        stand.scanning = False
        await until(lambda: link.state == "down", "link down")
        assert "PlcHeartbeat" in ear.states[-1][1]
        stand.scanning = True
        await until(lambda: link.state == "up", "link up again")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_second_gateway_waits_and_takes_over(protocol: str) -> None:
    async with plc_stand(protocol) as stand:
        async with linked(stand, seed=1) as (first, _):
            await until(lambda: first.state == "up", "first up")
            second_context = linked(stand, seed=2)
            second, ear = await second_context.__aenter__()
            await until(lambda: second.state == "readonly", "second read-only")
            await asyncio.sleep(0.5)
            assert first.state == "up"
            assert second.epoch == 0
        await until(lambda: second.state == "up", "second takes over")
        stand.pass_part()
        await until(lambda: stand.seen("latched"), "token of the second")
        assert stand.seen("latched")[0].epoch == second.epoch
        await second_context.__aexit__(None, None, None)
        assert ear.acked


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_another_map_is_refused_and_says_what_to_do(protocol: str, tmp_path: Path) -> None:
    async with plc_stand(protocol) as stand:
        ear = Ear()
        wrong = Link(stand.driver(), stand.loaded.map, stand.loaded.checksum ^ 1, ear, mono_ns=time.monotonic_ns)
        task = asyncio.create_task(wrong.run())
        await until(lambda: wrong.state == "refused", "refused")
        assert "InterfaceChecksum" in ear.states[-1][1]
        assert "download" in ear.states[-1][1]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not stand.seen("owner")


async def test_a_wrong_byte_order_is_refused_by_the_sentinels(tmp_path: Path) -> None:
    async with plc_stand("modbus") as stand:
        text = (Path(stand.loaded.map.file)).read_text().replace("order: CDAB", "order: ABCD")
        other = tmp_path / "other.yaml"
        other.write_text(text)
        from gateway.plc.maps import load_map

        loaded = load_map(other)
        ear = Ear()
        link = Link(stand.driver(), loaded.map, loaded.checksum, ear, mono_ns=time.monotonic_ns)
        task = asyncio.create_task(link.run())
        await until(lambda: link.state == "refused", "refused")
        assert "Sentinel" in ear.states[-1][1]
        assert "plc.order: CDAB" in ear.states[-1][1]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_adjustment_by_request(protocol: str) -> None:
    async with plc_stand(protocol) as stand, linked(stand) as (link, ear):
        await until(lambda: ear.up is not None, "a read")
        [param] = stand.loaded.map.params()
        assert ear.up is not None
        old = float(ear.up.values[param.name])
        assert await link.adjust(0, old + 2, old) == (AdjustResult.ACCEPTED, old + 2)
        await until(lambda: ear.up is not None and ear.up.values[param.name] == old + 2, "the value shows")
        assert (await link.adjust(0, old + 4, old))[0] is AdjustResult.STALE_EXPECTED_OLD
        assert (await link.adjust(7, old, old + 2))[0] is AdjustResult.UNKNOWN_INDEX
        stand.permit = False
        await asyncio.sleep(0.05)
        assert (await link.adjust(0, old, old + 2))[0] is AdjustResult.NO_PERMIT


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_absent_plc_is_waited_for(protocol: str) -> None:
    async with plc_stand(protocol) as stand:
        await stand.server.stop()
        async with linked(stand) as (link, ear):
            await asyncio.sleep(0.2)
            assert link.state == "down"
            await stand.server.start("127.0.0.1", stand.port)
            await until(lambda: link.state == "up", "link up")
