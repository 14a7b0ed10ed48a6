"""Parts with several views, and pictures with several parts, in any order: the oracle is the world that made the frames.

A world is drawn first: groups of parts far enough apart, and for each group what becomes of each camera's picture of it. Then
its facts are shown to the tracker in a drawn order. How each part must end follows from how it was made.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core.frame import FrameStamp
from gateway.core.inspection import Inspection
from gateway.core.lifecycle import Closed, Effect, Inspect, Judge, Reject
from gateway.core.part import next_part_id
from gateway.core.tracker import Tracker, TrackerConfig

MS = 1_000_000
TURN = 1 << 32
WINDOW = 100
SPACING = 1000
OVER_MS = 651

Fate = Literal["there", "missing", "twice", "late", "astray", "unlatched"]
FATES: list[Fate] = ["there"] * 8 + ["missing", "twice", "late", "astray", "unlatched"]
"""What becomes of one picture: of two it is not known which one is right, a late one comes after the deadline, one that is
astray was latched between two parts."""

ANYTHING = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True, slots=True)
class Group:
    """The parts of one picture (or the one part of several pictures)."""

    ids: tuple[int, ...]
    encoder: int
    fates: dict[str, Fate]
    torn: int | None
    """The part whose slot of the trigger ring cannot be read, for it still names the part before it there."""


@dataclass(slots=True)
class World:
    """What is, and the tracker that is shown it; it answers every question of the tracker at once."""

    cameras: tuple[tuple[str, int], ...]
    positions: int
    head: int
    now_ns: int = 1_000 * MS
    ring: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)] * 8)
    unread: list[int] = field(default_factory=list)
    overwritten: set[int] = field(default_factory=set)
    shows: dict[tuple[str, int], tuple[int, ...]] = field(default_factory=dict)
    """The parts that a frame truly shows, by camera and frame counter."""
    asked: dict[int, Inspect] = field(default_factory=dict)
    ends: list[tuple[str, int]] = field(default_factory=list)
    tracker: Tracker = field(init=False)

    def __post_init__(self) -> None:
        self.tracker = Tracker(
            TrackerConfig(
                cameras=self.cameras, positions=self.positions, window=WINDOW, deadline_ns=150 * MS, frame_wait_ns=500 * MS
            )
        )
        self.take(self.tracker.baseline(self.head, self.now_ns))

    def take(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Inspect():
                    part_id = effect.part.part_id
                    assert part_id not in self.asked, "sent to the engine a second time"
                    for stamp in effect.stamps:
                        mine = [key for key, ids in self.shows.items() if key[0] == stamp.camera and part_id in ids]
                        assert mine == [(stamp.camera, stamp.frame_counter)], "not the one picture of this part"
                    self.asked[part_id] = effect
                    self.take(self.tracker.inspected(effect.part, Inspection(part_id=part_id, label="good"), self.now_ns))
                case Judge() | Reject():
                    self.ends.append((type(effect).__name__, effect.part.part_id))
                case Closed():
                    self.ends.append(("Closed", effect.part_id))

    def trigger(self, part_id: int, group: Group) -> None:
        """Let a part pass the photo-eye: the ring's slot forgets the part before, read or not.

        Of eight parts across the wrap two have the same slot, for there is no part 0: the ring holds only seven of them.
        """
        self.head = part_id
        if part_id != group.torn:
            self.overwritten.update(p for p in self.unread if p == self.ring[part_id % 8][0])
            self.ring[part_id % 8] = (part_id, group.encoder % TURN)
        self.unread.append(part_id)

    def read(self) -> None:
        self.unread.clear()
        self.take(self.tracker.poll(self.head, list(self.ring), self.now_ns))

    def frame(self, camera: str, group: Group, fate: Fate) -> None:
        counter = len(self.shows) + 1
        self.shows[camera, counter] = group.ids
        place = group.encoder + dict(self.cameras)[camera] + (SPACING // 2 if fate == "astray" else 0)
        stamp = FrameStamp(
            camera=camera,
            frame_counter=counter,
            t_exposed_ns=self.now_ns,
            t_available_ns=self.now_ns,
            encoder=None if fate == "unlatched" else place % TURN,
            slot=0,
            generation=2,
            height=8,
            width=8,
            channels=1,
        )
        self.take(self.tracker.frame(stamp, self.now_ns))

    def deadline(self) -> None:
        self.now_ns += OVER_MS * MS
        self.take(self.tracker.tick(self.now_ns))


def draw_groups(data: st.DataObject, world: World, count: int) -> list[Group]:
    head, groups = world.head, []
    start = data.draw(st.sampled_from([0, 7, TURN - 2 * SPACING, TURN - SPACING - 1]), label="encoder")
    for n in range(count):
        ids = []
        for _ in range(world.positions):
            head = next_part_id(head)
            ids.append(head)
        fates = {c: data.draw(st.sampled_from(FATES), label=f"{ids[0]} {c}") for c, _ in world.cameras}
        torn = data.draw(st.sampled_from([None] * 6 + ids), label=f"{ids[0]} torn")
        groups.append(Group(ids=tuple(ids), encoder=start + n * SPACING, fates=fates, torn=torn))
    return groups


def play(data: st.DataObject, world: World, groups: list[Group]) -> None:
    """Show it all: triggers in their order, frames in any, reads wherever they fall, the late frames after the deadline."""
    triggers = [(part_id, g) for g in groups for part_id in g.ids]
    frames = [
        (c, g, fate)
        for g in groups
        for c, fate in g.fates.items()
        for _ in range({"missing": 0, "twice": 2}.get(fate, 1))
        if fate != "late"
    ]
    frames = data.draw(st.permutations(frames), label="frames")
    while triggers or frames:
        turn = data.draw(st.sampled_from(["trigger", "trigger", "read", "frame"]), label="turn")
        if turn == "read":
            world.read()
        elif turn == "trigger" and triggers:
            world.trigger(*triggers.pop(0))
        elif frames:
            world.frame(*frames.pop())
        else:
            world.trigger(*triggers.pop(0))
        world.now_ns += MS
    world.read()
    world.deadline()
    for g in groups:
        for camera, fate in g.fates.items():
            if fate == "late":
                world.frame(camera, g, fate)
    world.deadline()
    world.take(world.tracker.void("the end"))


def check(world: World, groups: list[Group]) -> None:
    ends = Counter(world.ends)
    judged = {part_id for kind, part_id in world.ends if kind == "Judge"}
    for g in groups:
        gap = g.torn is not None or bool(world.overwritten.intersection(g.ids))
        whole = not gap and set(g.fates.values()) == {"there"}
        never = gap or bool({"missing", "late", "astray", "unlatched"}.intersection(g.fates.values()))
        for position, part_id in enumerate(g.ids):
            assert ends["Judge", part_id] + ends["Reject", part_id] == 1, "exactly one disposition"
            assert ends["Closed", part_id] == 1
            if whole:
                assert part_id in judged, "all of its views were there, and it was not inspected"
                inspect = world.asked[part_id]
                assert [s.camera for s in inspect.stamps] == [c for c, _ in world.cameras]
                assert [v.position for v in inspect.part.views] == [position] * len(world.cameras)
            if never:
                assert part_id not in world.asked, "inspected without all of its views"
    assert sum(ends.values()) == 2 * sum(len(g.ids) for g in groups)


HEADS = st.sampled_from([0, 10, TURN - 2, TURN - 5, TURN - 9])
"""Ids wrap to 1 at any position of a picture."""
OFFSETS = st.sampled_from([0, 300, 500, 1300, 2500])
"""Beyond one spacing a camera sees a part when the next ones are at the photo-eye already."""


@pytest.mark.parametrize("cameras", [2, 3, 4])
@ANYTHING
@given(st.data())
def test_a_part_is_inspected_with_all_of_its_own_views_or_not_at_all(cameras: int, data: st.DataObject) -> None:
    offsets = data.draw(st.lists(OFFSETS, min_size=cameras, max_size=cameras), label="offsets")
    world = World(cameras=tuple((f"cam{i}", o) for i, o in enumerate(offsets)), positions=1, head=data.draw(HEADS))
    groups = draw_groups(data, world, data.draw(st.integers(1, 10), label="parts"))
    play(data, world, groups)
    check(world, groups)


@pytest.mark.parametrize("cameras", [1, 2])
@ANYTHING
@given(st.data())
def test_a_picture_of_eight_parts_serves_all_eight_in_their_order_or_none(cameras: int, data: st.DataObject) -> None:
    offsets = data.draw(st.lists(OFFSETS, min_size=cameras, max_size=cameras), label="offsets")
    world = World(cameras=tuple((f"cam{i}", o) for i, o in enumerate(offsets)), positions=8, head=data.draw(HEADS))
    groups = draw_groups(data, world, data.draw(st.integers(1, 3), label="pictures"))
    play(data, world, groups)
    check(world, groups)
