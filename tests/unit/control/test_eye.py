"""The eye: pixels out of the ring through an engine; whatever goes wrong is a fault of the inspection, never nothing found."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from gateway.control.eye import Eye
from gateway.core.errors import ModelError
from gateway.core.frame import FrameStamp, Pixels
from gateway.core.inspection import ImageStats, Inspection
from gateway.core.part import Part, Trigger, View
from gateway.frames import FrameRing

SLOT = 4096
SHAPE = (16, 24, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    probabilities: Mapping[str, float]
    stats: ImageStats = ImageStats(level=120, contrast=40, sharpness=1)
    infer_ms: float = 1.5

    @property
    def label(self) -> str:
        return max(self.probabilities, key=lambda k: self.probabilities[k])


@dataclass(slots=True)
class FakeEngine:
    """Keeps what it was shown and answers what it was told to."""

    answers: list[Answer | Exception] = field(default_factory=list)
    shown: list[Pixels] = field(default_factory=list)
    while_loading: list[object] = field(default_factory=list)
    busy: int = 0

    def load_input(self, image: Pixels) -> None:
        if image.shape[2] != 1:
            raise ModelError(f"the picture has {image.shape[2]} channels, the model wants 1")
        self.shown.append(image.copy())
        for act in self.while_loading:
            act()  # type: ignore[operator]

    async def infer(self) -> Answer:
        self.busy += 1
        assert self.busy == 1, "two inferences at once"
        await asyncio.sleep(0)
        self.busy -= 1
        answer = self.answers.pop(0) if self.answers else Answer(probabilities={"good": 0.9, "dent": 0.1})
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass(slots=True)
class Stand:
    folder: Path
    engine: FakeEngine = field(default_factory=FakeEngine)
    rings: dict[str, FrameRing] = field(default_factory=dict)
    rois: dict[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    now_ns: int = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))
    eye: Eye = field(init=False)

    def __post_init__(self) -> None:
        for camera in ("a", "b"):
            self.rings[camera] = FrameRing.create(self.folder / camera, slots=4, slot_bytes=SLOT)
        paths = {c: self.folder / c for c in ("a", "b", "absent")}
        self.eye = Eye(
            self.engine,
            "press/1",
            paths,
            self.rois,
            frozenset({"good"}),
            mono_ns=lambda: self.now_ns,
            saw=lambda stamp, fault: self.seen.append((stamp.camera, fault)),
        )

    def picture(self) -> Pixels:
        return self.noise.integers(0, 256, SHAPE, np.uint8)

    def stamp(self, image: Pixels | None = None, camera: str = "a", counter: int = 1) -> FrameStamp:
        image = self.picture() if image is None else image
        slot, generation = self.rings[camera].write(image) if camera in self.rings else (0, 2)
        return FrameStamp(
            camera=camera,
            frame_counter=counter,
            t_exposed_ns=0,
            t_available_ns=0,
            encoder=0,
            slot=slot,
            generation=generation,
            height=image.shape[0],
            width=image.shape[1],
            channels=image.shape[2],
        )

    async def look(self, *stamps: FrameStamp, position: int = 0, due_ns: int = 1000) -> Inspection:
        views = tuple(View(camera=s.camera, position=position) for s in stamps)
        trigger = Trigger(part_id=11, encoder=0, t_mono_ns=0)
        return await self.eye.inspect(Part(part_id=11, trigger=trigger, views=views, due_mono_ns=due_ns), stamps)

    def close(self) -> None:
        self.eye.close()
        for ring in self.rings.values():
            ring.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path)
    yield made
    made.close()


async def test_the_pixels_of_the_ring_reach_the_engine_and_its_answer_comes_back(stand: Stand) -> None:
    image = stand.picture()
    seen = await stand.look(stand.stamp(image))
    assert np.array_equal(stand.engine.shown[0], image)
    assert (seen.fault, seen.label, seen.model_id, seen.infer_ms) == ("", "good", "press/1", 1.5)
    assert seen.scores == {"good": 0.9, "dent": 0.1}
    assert seen.stats == ImageStats(level=120, contrast=40, sharpness=1)


async def test_the_view_least_likely_to_pass_decides(stand: Stand) -> None:
    stand.engine.answers = [Answer(probabilities={"good": 0.6, "dent": 0.4}), Answer(probabilities={"good": 0.3, "dent": 0.7})]
    assert (await stand.look(stand.stamp(), stand.stamp(camera="b"))).label == "dent"
    stand.engine.answers = [Answer(probabilities={"good": 0.3, "dent": 0.7}), Answer(probabilities={"good": 0.6, "dent": 0.4})]
    assert (await stand.look(stand.stamp(), stand.stamp(camera="b"))).label == "dent"


async def test_a_fault_in_any_view_is_a_fault_of_the_part(stand: Stand) -> None:
    stand.engine.answers = [Answer(probabilities={"good": 1.0, "dent": 0.0}), ModelError("the inference failed")]
    assert (await stand.look(stand.stamp(), stand.stamp(camera="b"))).fault == "the inference failed"


async def test_a_part_without_views_is_a_fault(stand: Stand) -> None:
    assert (await stand.look()).fault


async def test_a_frame_overwritten_before_it_is_read(stand: Stand) -> None:
    stamp = stand.stamp()
    for _ in range(4):
        stand.stamp()
    assert "overwritten" in (await stand.look(stamp)).fault


async def test_a_frame_overwritten_while_it_is_copied(stand: Stand) -> None:
    """The generation is asked again after the copy: what was torn is no evidence."""
    stamp = stand.stamp()
    stand.engine.while_loading = [stand.stamp] * 4
    assert "overwritten" in (await stand.look(stamp)).fault


async def test_a_camera_that_repeats_itself_is_frozen_whatever_its_counter_says(stand: Stand) -> None:
    image = stand.picture()
    assert not (await stand.look(stand.stamp(image, counter=1))).fault
    assert "frozen" in (await stand.look(stand.stamp(image, counter=2))).fault
    assert "frozen" in (await stand.look(stand.stamp(image, counter=2))).fault
    assert not (await stand.look(stand.stamp(counter=0))).fault


async def test_each_place_of_a_multi_up_picture_is_compared_with_itself(stand: Stand) -> None:
    stand.rois["a"] = [(0, 0, 8, 16), (8, 0, 8, 16)]
    image = stand.picture()
    for position in (0, 1):
        assert not (await stand.look(stand.stamp(image, counter=1), position=position)).fault
    for position in (0, 1):
        assert "frozen" in (await stand.look(stand.stamp(image, counter=2), position=position)).fault
    assert np.array_equal(stand.engine.shown[1], image[:, 8:16])


async def test_two_places_that_look_alike_are_no_frozen_camera(stand: Stand) -> None:
    stand.rois["a"] = [(0, 0, 8, 16), (8, 0, 8, 16)]
    image = stand.picture()
    image[:, 8:16] = image[:, 0:8]
    stamp = stand.stamp(image)
    for position in (0, 1):
        assert not (await stand.look(stamp, position=position)).fault


async def test_a_place_outside_the_picture(stand: Stand) -> None:
    stand.rois["a"] = [(20, 0, 8, 16)]
    assert "position 0 lies outside the 24×16 picture" in (await stand.look(stand.stamp())).fault


@pytest.mark.parametrize("contrast", [0.0, 0.49, math.nan])
async def test_a_blank_picture_shows_nothing(stand: Stand, contrast: float) -> None:
    stats = ImageStats(level=0, contrast=contrast, sharpness=0)
    stand.engine.answers = [Answer(probabilities={"good": 1.0, "dent": 0.0}, stats=stats)]
    assert (await stand.look(stand.stamp())).fault == "the picture is blank"


async def test_what_is_wrong_with_a_picture_is_told_and_only_that(stand: Stand) -> None:
    image = stand.picture()
    await stand.look(stand.stamp(image), stand.stamp(camera="b"))
    await stand.look(stand.stamp(image))
    stats = ImageStats(level=0, contrast=0.0, sharpness=0)
    stand.engine.answers = [Answer(probabilities={"good": 1.0, "dent": 0.0}, stats=stats), ModelError("the inference failed")]
    await stand.look(stand.stamp())
    await stand.look(stand.stamp())  # an engine that failed says nothing of the picture
    assert [(camera, fault.split(":")[0]) for camera, fault in stand.seen] == [
        ("a", ""),
        ("b", ""),
        ("a", "the camera is frozen"),
        ("a", "the picture is blank"),
    ]


async def test_wrong_channels_are_a_fault_that_says_so(stand: Stand) -> None:
    assert "3 channels" in (await stand.look(stand.stamp(np.zeros((8, 8, 3), np.uint8)))).fault


async def test_a_ring_that_is_not_there_yet(stand: Stand) -> None:
    assert "absent" in (await stand.look(stand.stamp(camera="absent"))).fault
    stand.rings["absent"] = FrameRing.create(stand.folder / "absent", slots=4, slot_bytes=SLOT)
    assert not (await stand.look(stand.stamp(camera="absent"))).fault


async def test_a_ring_made_anew_is_attached_anew(stand: Stand) -> None:
    """Somebody cleaned the folder and capture was restarted: the old mapping would show old pictures, or none for ever."""
    assert not (await stand.look(stand.stamp())).fault
    stand.rings["a"].close()
    (stand.folder / "a").unlink()
    stand.rings["a"] = FrameRing.create(stand.folder / "a", slots=4, slot_bytes=SLOT)
    image = stand.picture()
    assert not (await stand.look(stand.stamp(image))).fault
    assert np.array_equal(stand.engine.shown[-1], image)


async def test_a_ring_that_went_away_is_a_fault(stand: Stand) -> None:
    stamp = stand.stamp()
    assert not (await stand.look(stamp)).fault
    (stand.folder / "a").unlink()
    assert (await stand.look(stand.stamp())).fault


async def test_a_part_whose_turn_comes_after_its_deadline_is_not_looked_at(stand: Stand) -> None:
    stand.now_ns = 1001
    assert "deadline" in (await stand.look(stand.stamp())).fault
    assert stand.engine.shown == []


async def test_one_picture_at_a_time(stand: Stand) -> None:
    """The engine has one input: two parts that come together take turns."""
    stamps = [stand.stamp() for _ in range(3)]
    seen = await asyncio.gather(*(stand.look(s) for s in stamps))
    assert [s.fault for s in seen] == ["", "", ""]


async def test_a_bug_in_the_engine_is_not_caught(stand: Stand) -> None:
    stand.engine.answers = [ZeroDivisionError("a bug")]
    with pytest.raises(ZeroDivisionError):
        await stand.look(stand.stamp())


async def test_without_a_model_nothing_is_seen_and_another_one_names_itself(stand: Stand) -> None:
    blind = Eye(None, "", {"a": stand.folder / "a"}, {}, frozenset(), mono_ns=lambda: 0)
    stand.eye.close()
    stand.eye = blind
    nothing = await stand.look(stand.stamp())
    assert (nothing.fault, nothing.label) == ("no model is in force", "")
    stand.eye.serve(stand.engine, "housing/2", frozenset({"good"}))
    seen = await stand.look(stand.stamp(counter=2))
    assert (seen.fault, seen.model_id) == ("", "housing/2")
