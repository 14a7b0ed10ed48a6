"""The frame ring: what a reader accepts is exactly what the writer completed, across wrap, restart and replacement."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import GatewayError, PictureError
from gateway.core.frame import Pixels
from gateway.frames import FrameRing, ring_folder

SLOTS = 4
SLOT_BYTES = 3 * 4096


def picture(value: int, shape: tuple[int, int, int] = (16, 20, 1)) -> Pixels:
    return np.full(shape, value, np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ring"


@pytest.fixture
def ring(path: Path) -> Iterator[FrameRing]:
    ring = FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    yield ring
    ring.close()


@pytest.fixture
def reader(ring: FrameRing, path: Path) -> Iterator[FrameRing]:
    reader = FrameRing.attach(path)
    yield reader
    reader.close()


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3])),
    turned=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, int, int], turned: bool, seed: int
) -> None:
    path = tmp_path_factory.mktemp("ring") / "ring"
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    if turned:  # no longer contiguous
        image = image.transpose(1, 0, 2)[::-1]
    ring = FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    reader = FrameRing.attach(path)
    slot, generation = ring.write(image)
    got = reader.copy(slot, generation, (image.shape[0], image.shape[1], image.shape[2]))
    assert got is not None
    assert np.array_equal(got, image)
    assert got.flags.owndata
    reader.close()
    ring.close()


def test_a_frame_stands_until_the_slot_is_the_next_to_be_written(ring: FrameRing, reader: FrameRing) -> None:
    written = [ring.write(picture(i)) for i in range(SLOTS)]
    assert [slot for slot, _ in written] == [(written[0][0] + i) % SLOTS for i in range(SLOTS)]
    # The oldest is void before the frame that takes its place is begun.
    assert [reader.valid(*w) for w in written] == [False, True, True, True]
    assert reader.copy(*written[0], (16, 20, 1)) is None
    later = ring.write(picture(9))
    assert later[0] == written[0][0] and later[1] > written[-1][1]
    assert [reader.valid(*w) for w in written] == [False, False, True, True]
    got = reader.copy(*written[2], (16, 20, 1))
    assert got is not None and (got == 2).all()


def test_while_a_slot_is_written_nothing_in_it_is_valid(
    ring: FrameRing, reader: FrameRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [ring.write(picture(i)) for i in range(SLOTS + 1)]
    slot = (written[-1][0] + 1) % SLOTS
    word = reader._words[slot]
    seen: list[bool] = []

    def look(target: Pixels, image: Pixels) -> None:
        seen.extend(reader.valid(slot, g) for g in (word, word - 1, word + 1, written[1][1], 0))
        target[:] = image

    monkeypatch.setattr("gateway.frames.ring.np.copyto", look)
    assert ring.write(picture(7))[0] == slot
    assert seen == [False] * 5


def test_a_copy_that_was_overtaken_is_none(ring: FrameRing, reader: FrameRing, monkeypatch: pytest.MonkeyPatch) -> None:
    slot, generation = ring.write(picture(1))
    view = reader.view

    def slow_view(slot: int, shape: tuple[int, int, int]) -> Pixels:
        for i in range(SLOTS):
            ring.write(picture(100 + i))
        return view(slot, shape)

    monkeypatch.setattr(reader, "view", slow_view)
    assert reader.copy(slot, generation, (16, 20, 1)) is None


@pytest.mark.parametrize("generation", [0, -2, 1, 3])
def test_a_generation_that_names_no_frame_is_never_valid(ring: FrameRing, reader: FrameRing, generation: int) -> None:
    ring.write(picture(1))
    assert not any(reader.valid(slot, generation) for slot in range(-1, SLOTS + 1))
    assert not any(reader.valid(slot, word) for slot, word in enumerate(reader._words) if word % 2)
    assert not reader.valid(0, 1 << 70)


def test_views_are_read_only_on_both_sides(ring: FrameRing, reader: FrameRing) -> None:
    slot, _ = ring.write(picture(5))
    for side in (ring, reader):
        view = side.view(slot, (16, 20, 1))
        assert (view == 5).all()
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0, 0] = 1
        with pytest.raises(ValueError, match="WRITEABLE"):
            reader.view(slot, (16, 20, 1)).flags.writeable = True
        del view


def test_a_reader_outlives_a_restart_of_the_writer(ring: FrameRing, reader: FrameRing, path: Path) -> None:
    before = [ring.write(picture(i)) for i in range(SLOTS + 2)]
    ring.close()  # the same as a kill: nothing is written at the end
    again = FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    assert reader.valid(*before[-1]) and reader.valid(*before[-2]), "frames from before the restart are still whole"
    slot, generation = again.write(picture(50))
    assert generation == before[-1][1] + 2
    got = reader.copy(slot, generation, (16, 20, 1))
    assert got is not None and (got == 50).all()
    again.close()


def test_a_writer_killed_between_two_steps_is_followed_in_order(ring: FrameRing, reader: FrameRing, path: Path) -> None:
    """A kill can leave the next slot void (the usual case) or not yet void; no generation is ever given twice."""
    written = [ring.write(picture(i)) for i in range(SLOTS + 1)]
    slot, generation = written[-1]
    ring._words[(slot + 1) % SLOTS] = generation - 2 * (SLOTS - 1)  # as before the last step of write()
    oldest = ((slot + 1) % SLOTS, generation - 2 * (SLOTS - 1))
    assert reader.valid(*oldest)
    ring.close()
    again = FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    assert not reader.valid(*oldest)
    assert again.write(picture(9)) == ((slot + 1) % SLOTS, generation + 2)
    again.close()


def test_another_geometry_gets_a_new_file_whose_generations_fit_no_old_reader(
    ring: FrameRing, reader: FrameRing, path: Path
) -> None:
    ring.write(picture(1))
    ring.close()
    other = FrameRing.create(path, slots=SLOTS + 1, slot_bytes=SLOT_BYTES)
    written = [other.write(picture(2)) for _ in range(3)]
    assert not any(reader.valid(slot, generation) for slot, generation in written)
    attached = FrameRing.attach(path)
    assert (attached.slots, attached.slot_bytes) == (SLOTS + 1, SLOT_BYTES)
    assert attached.valid(*written[-1])
    attached.close()
    other.close()


def test_rings_made_one_after_another_share_no_generation(tmp_path: Path) -> None:
    seen: set[int] = set()
    for _ in range(5):
        path = tmp_path / "ring"
        ring = FrameRing.create(path, slots=2, slot_bytes=SLOT_BYTES)
        generations = {ring.write(picture(1))[1] for _ in range(10)}
        assert not generations & seen
        assert max(generations) < 1 << 53, "a stamp's numbers must survive any JSON reader"
        seen |= generations
        ring.close()
        path.unlink()


def test_one_writer_only(ring: FrameRing, path: Path) -> None:
    with pytest.raises(GatewayError, match="another process writes this frame ring"):
        FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    with pytest.raises(GatewayError, match="another process writes"):
        FrameRing.create(path, slots=SLOTS * 2, slot_bytes=SLOT_BYTES)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_ring_is_neither_read_nor_removed(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="no frame ring .*capture process"):
        FrameRing.attach(tmp_path / "absent")
    letter = tmp_path / "letter"
    letter.write_bytes(b"Dear customer, " * 1000)
    for make in (FrameRing.attach, FrameRing.create):
        with pytest.raises(GatewayError, match="letter.*remove"):
            make(letter)
    assert letter.read_bytes().startswith(b"Dear")
    with pytest.raises(GatewayError, match=r"cannot be made|no frame ring"):
        FrameRing.create(tmp_path)
    (tmp_path / "link").symlink_to(letter)
    with pytest.raises(GatewayError):
        FrameRing.create(tmp_path / "link")
    with pytest.raises(GatewayError, match="cannot be made"):
        FrameRing.create(tmp_path / "no folder" / "ring")


def test_a_ring_cut_short_is_refused_and_made_anew(ring: FrameRing, path: Path) -> None:
    ring.close()
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(GatewayError, match="no frame ring of this version"):
        FrameRing.attach(path)
    again = FrameRing.create(path, slots=SLOTS, slot_bytes=SLOT_BYTES)
    slot, generation = again.write(picture(3))
    assert again.valid(slot, generation)
    again.close()


def test_a_picture_that_does_not_fit_is_refused_and_costs_no_slot(ring: FrameRing, reader: FrameRing) -> None:
    first = ring.write(picture(1))
    for bad, why in (
        (picture(1, (100, 200, 1)), "200×100×1 has 20000 bytes.*smaller picture"),
        (picture(1, (0, 20, 1)), "0 bytes"),
        (np.zeros((4, 4), np.uint8), "u8"),
        (np.zeros((4, 4, 1), np.uint16), "uint16"),
    ):
        with pytest.raises(PictureError, match=why):
            ring.write(bad)  # type: ignore[arg-type]
    assert reader.valid(*first)
    assert ring.write(picture(2))[1] == first[1] + 2
    full = ring.write(picture(3, (SLOT_BYTES // 4096, 4096, 1)))
    assert reader.copy(*full, (SLOT_BYTES // 4096, 4096, 1)) is not None


@pytest.mark.parametrize("shape", [(1, SLOT_BYTES + 1, 1), (1 << 20, 1 << 20, 3), (0, 1, 1), (-1, -1, 1)])
def test_a_view_outside_the_slot_is_refused(reader: FrameRing, shape: tuple[int, int, int]) -> None:
    with pytest.raises(GatewayError, match="slot 0 of 4"):
        reader.view(0, shape)


@pytest.mark.parametrize("slot", [-1, SLOTS])
def test_a_view_of_a_slot_that_is_not_there_is_refused(reader: FrameRing, slot: int) -> None:
    with pytest.raises(GatewayError, match="do not belong together"):
        reader.view(slot, (1, 1, 1))


def test_full_memory_is_an_error_and_no_bus_error(ring: FrameRing, reader: FrameRing, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ring.write(picture(1))

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(GatewayError, match="No space left.*enlarge"):
            ring.write(picture(2))
    assert reader.valid(*first)
    assert ring.write(picture(3))[1] == first[1] + 2


def test_the_default_ring_is_sparse(tmp_path: Path) -> None:
    ring = FrameRing.create(tmp_path / "ring")
    ring.write(picture(1, (1024, 1280, 1)))
    status = (tmp_path / "ring").stat()
    assert status.st_size > 32 * (32 << 20)
    assert status.st_blocks * 512 < 4 << 20
    ring.close()


def test_close_is_safe_twice_and_lets_held_views_live(ring: FrameRing, path: Path) -> None:
    slot, _ = ring.write(picture(6))
    plain = FrameRing.attach(path)
    plain.close()
    plain.close()
    assert plain._map.closed
    held = FrameRing.attach(path)
    view = held.view(slot, (16, 20, 1))
    held.close()
    held.close()
    assert (view == 6).all()


def test_the_folder_for_rings_can_be_written() -> None:
    assert os.access(ring_folder(), os.W_OK)
