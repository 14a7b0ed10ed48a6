"""The two blocks as the handshake uses them: one span to read, four sections to write, each with one request.

Apart from the link because it is layout and no life: pure functions of the map, without a driver, a clock or a state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.core.codec import BlockCodec, encode_section
from gateway.core.handshake import SLOTS
from gateway.core.tags import Scalar, Span, Tag, TagMap
from gateway.plc.listener import UpImage

#: The first and the last role of each section of the down block.
SECTIONS = {
    "status": ("status1", "config.checksum"),
    "tokens": ("ring.token", "ring.token"),
    "adjust": ("adjust.seq", "adjust.expected"),
    "claim": ("claim.nonce", "claim.nonce"),
}


class Exchange:
    """Spans and bytes of one map."""

    def __init__(self, tag_map: TagMap) -> None:
        """Lay everything out once."""
        self._order = tag_map.order
        self._codec = BlockCodec(tag_map.up, tag_map.order)
        self._down = BlockCodec(tag_map.down, tag_map.order)
        self.up = Span(block=tag_map.up, offset=0, length=tag_map.up.size)
        """What is read cyclically, with one request."""
        self._process = tuple(leaf.name for t in tag_map.process_tags() if t in tag_map.up.tags for leaf in t.leaves())
        self._tags = {name: self._between(tag_map, *edges) for name, edges in SECTIONS.items()}
        self._spans = {name: self._span(tag_map, *edges) for name, edges in SECTIONS.items()}
        ring = tag_map.roles["ring.token"].name
        self._slots = [tuple(f"{ring}[{i}].{part}" for part in ("PartId", "Verdict", "Check")) for i in range(SLOTS)]
        self._triggers = _pairs(tag_map, "ring.trigger", "Encoder")
        self._outcomes = _pairs(tag_map, "ring.outcome", "Outcome")

    def section(self, name: str, by_role: Mapping[str, Scalar]) -> tuple[Span, bytes]:
        """Return where and what to write for a whole section; roles not given are 0."""
        tags = self._tags[name]
        return self._spans[name], encode_section(tags, {t.name: by_role.get(t.role, 0) for t in tags}, self._order)

    def tokens(self, ring: Sequence[tuple[int, int, int]]) -> tuple[Span, bytes]:
        """Return where and what to write for the token ring: (PartId, Verdict, Check) × 8."""
        words = {n: v for keys, slot in zip(self._slots, ring, strict=True) for n, v in zip(keys, slot, strict=True)}
        return self._spans["tokens"], encode_section(self._tags["tokens"], words, self._order)

    @property
    def token_span(self) -> Span:
        """Return where the token ring lies."""
        return self._spans["tokens"]

    def ring(self, data: bytes) -> list[tuple[int, int, int]]:
        """Return (PartId, Verdict, Check) × 8 from the bytes of :attr:`token_span`."""
        span = self.token_span
        rest = span.block.size - span.offset - span.length
        words = self._down.decode(bytes(span.offset) + data + bytes(rest))
        return [(int(words[p]), int(words[v]), int(words[c])) for p, v, c in self._slots]

    def values(self, data: bytes) -> dict[str, Scalar]:
        """Return every value of the up block by its dotted name."""
        return self._codec.decode(data)

    def image(self, data: bytes, *, asked_ns: int, now_ns: int, extra: Mapping[str, Scalar]) -> UpImage:
        """Return the up block as the line sees it, with the values of the further blocks beside its own."""
        v = self._codec.decode(data)
        return UpImage(
            t_asked_mono_ns=asked_ns,
            t_mono_ns=now_ns,
            control=int(v["Control"]),
            heartbeat=int(v["PlcHeartbeat"]),
            part_id=int(v["PartId"]),
            triggers=tuple((int(v[p]), int(v[e])) for p, e in self._triggers),
            outcomes=tuple((int(v[p]), int(v[o])) for p, o in self._outcomes),
            owner=int(v["OwnerEpochEcho"]),
            adjust_seq=int(v["AdjustSeqEcho"]),
            adjust_result=int(v["AdjustResult"]),
            adjust_value=float(v["AdjustValueEcho"]),
            values={**{n: v[n] for n in self._process}, **extra},
            command=int(v["Command"]),
            command_arg=int(v["CommandArg"]),
        )

    @staticmethod
    def _between(tag_map: TagMap, first: str, last: str) -> list[Tag]:
        low, high = tag_map.roles[first].offset, tag_map.roles[last].offset
        return [t for t in tag_map.down.tags if low <= t.offset <= high]

    @staticmethod
    def _span(tag_map: TagMap, first: str, last: str) -> Span:
        start, end = tag_map.roles[first], tag_map.roles[last]
        return Span(block=tag_map.down, offset=start.offset, length=end.offset + end.size - start.offset)


def _pairs(tag_map: TagMap, role: str, other: str) -> list[tuple[str, str]]:
    name = tag_map.roles[role].name
    return [(f"{name}[{i}].PartId", f"{name}[{i}].{other}") for i in range(SLOTS)]
