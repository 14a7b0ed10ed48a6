"""Every tag of a map as the PLC holds it now, and, for a value that a person reads elsewhere, where it really stands.

Reads only. It works, and is needed, where the link refuses to run: with the wrong byte order, address or checksum. It must not
know how its findings are printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.core.codec import BlockCodec
from gateway.core.handshake import SENTINEL_DWORD, SENTINEL_REAL
from gateway.core.tags import Address, Block, Leaf, S7Address, Scalar, Tag, TagMap, WordOrder, size_of
from gateway.doctor.search import NUMERIC, Candidate, Expected, orders_from, readings, shifts_of
from gateway.doctor.wire import Image, Reader
from gateway.plc.maps import LoadedMap

Way = tuple[WordOrder, int]
"""How to read: in this order, so many bytes further on than the map says."""
MARGIN = 4
"""Bytes beyond a block within which a neighbour is looked for."""
SENTINELS = (
    ("SentinelReal", Expected(value=SENTINEL_REAL, tolerance=SENTINEL_REAL * 1e-6, text=f"{SENTINEL_REAL}")),
    ("SentinelDWord", Expected(value=SENTINEL_DWORD, tolerance=0, text=f"16#{SENTINEL_DWORD:08X}")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One elementary value: where it stands, its bytes as they came, what they mean by the map."""

    block: str
    name: str
    datatype: str
    address: str
    raw: bytes
    value: Scalar | None
    unit: str
    trouble: str
    """Why there is no value, or ''."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place where an expected value stands, and what the map must say for it to be read there."""

    name: str
    datatype: str
    address: str
    order: WordOrder
    shift: int
    """Bytes from where the map has the tag."""
    value: float
    remedy: str
    """'' when it stands where the map says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was found."""

    readings: tuple[Reading, ...]
    places: tuple[Place, ...]
    """Of the expected value, if one was given; the likeliest first: what the sentinels say, then as mapped."""
    unread: tuple[str, ...]
    """Tags, and surroundings of blocks, that were to be searched for the expected value and could not be read."""
    sentinels: str
    """'' when both are right; otherwise what is wrong and, if it can be told, the remedy."""
    checksum: str
    """'' when it is the map's."""


async def probe(loaded: LoadedMap, reader: Reader, tags: Sequence[str] = (), wanted: Expected | None = None) -> Probe:
    """Read all blocks; DeviceUnavailable when the PLC goes away. KeyError when there is no tag of a name in ``tags``."""
    tag_map = loaded.map
    chosen = _chosen(tag_map, tags)
    found: list[Reading] = []
    places: list[Place] = []
    unread: list[str] = []
    sentinels, checksum = "they could not be read", "it could not be read"
    proven: Way | None = None
    for block in tag_map.blocks:
        image = await reader.image(block)
        values = _values(block, tag_map.order, image)
        leaves = [(leaf, tag) for tag in block.tags for leaf in tag.leaves()]
        mine = [(leaf, tag) for leaf, tag in leaves if not tags or leaf.name in chosen]
        found += [_reading(block, leaf, tag, tag_map.order, image, values) for leaf, tag in mine]
        if block is not tag_map.up and wanted is None:
            continue
        before, behind = await reader.around(block, MARGIN)
        wide = before + bytes(image.data) + behind
        if block is tag_map.up:
            search = _Search(loaded, block, wide, len(before), image)
            named = dict(leaves_by_name(block))
            if not all(image.why_missing(leaf.offset, size_of(leaf.datatype)) for leaf in _sentinel_leaves(named)):
                sentinels, proven = _sentinels(search, named, values)
            not_yet = "it can be judged only when the sentinels are right"
            checksum = not_yet if sentinels else _checksum(values, loaded.checksum)
        if wanted is not None:
            unread += [leaf.name for leaf, _ in mine if image.why_missing(leaf.offset, max(1, size_of(leaf.datatype)))]
            sides = (("before", before), ("behind", behind))
            unread += [f"what lies {side} {block.name}" for side, data in sides if mine and len(data) < MARGIN]
            search = _Search(loaded, block, wide, len(before), image)
            places += [p for leaf, tag in mine if leaf.datatype in NUMERIC for p in search.places(leaf, tag, wanted)]
    places.sort(key=lambda p: ((p.order, p.shift) != proven, bool(p.remedy), p.order != tag_map.order, abs(p.shift)))
    return Probe(readings=tuple(found), places=tuple(places), unread=tuple(unread), sentinels=sentinels, checksum=checksum)


def _sentinel_leaves(leaves: dict[str, tuple[Leaf, Tag]]) -> list[Leaf]:
    return [leaves[name][0] for name, _ in SENTINELS]


def _chosen(tag_map: TagMap, tags: Sequence[str]) -> set[str]:
    """Return the leaves meant by ``tags``: names of tags, or dotted names of what lies in them."""
    chosen: set[str] = set()
    for name in tags:
        below = {
            leaf.name
            for block in tag_map.blocks
            for tag in block.tags
            for leaf in tag.leaves()
            if tag.name == name or leaf.name == name or leaf.name.startswith((f"{name}.", f"{name}["))
        }
        if not below:
            raise KeyError(name)
        chosen |= below
    return chosen


def leaves_by_name(block: Block) -> Iterable[tuple[str, tuple[Leaf, Tag]]]:
    """Yield every elementary value of a block with its tag, by its dotted name."""
    return ((leaf.name, (leaf, tag)) for tag in block.tags for leaf in tag.leaves())


def _values(block: Block, order: WordOrder, image: Image) -> dict[str, Scalar]:
    """Return the values that could be read by name."""
    values = BlockCodec(block, order).decode(bytes(image.data))
    there = [leaf for tag in block.tags for leaf in tag.leaves() if leaf.name in values]
    return {x.name: values[x.name] for x in there if not image.why_missing(x.offset, max(1, size_of(x.datatype)))}


def _reading(block: Block, leaf: Leaf, tag: Tag, order: WordOrder, image: Image, values: dict[str, Scalar]) -> Reading:
    size = max(1, size_of(leaf.datatype))
    swaps = size == 1 and not block.bits and (tag.order or order) in ("BADC", "DCBA")
    at = leaf.offset ^ 1 if swaps else leaf.offset
    trouble = image.why_missing(leaf.offset, size)
    if not trouble and leaf.name not in values:
        trouble = "these bytes are no value of this type"
    return Reading(
        block=block.name,
        name=leaf.name,
        datatype=leaf.datatype,
        address=address_of(block.base, leaf.datatype, at, leaf.bit),
        raw=b"" if image.why_missing(leaf.offset, size) else bytes(image.data[at : at + size]),
        value=None if trouble else values[leaf.name],
        unit=tag.unit,
        trouble=trouble,
    )


def address_of(base: Address, datatype: str, offset: int, bit: int = 0) -> str:
    """Return where a value stands as an engineer writes it: ``DB100.DBW6``, ``HR:103``, ``DI:12``."""
    if isinstance(base, S7Address):
        byte = base.byte + offset
        if datatype == "Bool":
            return f"DB{base.db}.DBX{byte}.{bit}"
        return f"DB{base.db}." + {1: "DBB{}", 2: "DBW{}", 4: "DBD{}"}.get(size_of(datatype), "DBX{}.0").format(byte)
    if base.area in ("CO", "DI"):
        return f"{base.area}:{base.register + offset * 8 + bit}"
    register = base.register + offset // 2
    # In a register bit 0 is the least significant one, and the first byte is its high one.
    return f"{base.area}:{register}" + (f".{bit + (0 if offset % 2 else 8)}" if datatype == "Bool" else "")


class _Search:
    """Looks for a value around the tags of one block."""

    def __init__(self, loaded: LoadedMap, block: Block, wide: bytes, before: int, image: Image) -> None:
        self._driver = loaded.plc.driver
        self.order = loaded.map.order
        self._block, self._wide, self._before, self._image = block, wide, before, image

    def ways(self, leaf: Leaf, tag: Tag) -> list[Candidate]:
        """Return every way to read this tag, the map's own first, without those whose bytes could not be read."""
        order = tag.order or self.order
        all_ways = readings(
            self._wide,
            self._before + leaf.offset,
            leaf.datatype,
            tag.scale,
            orders_from(order),
            shifts_of(self._driver),
        )
        size = size_of(leaf.datatype)
        return [c for c in all_ways if not self._image.why_missing(leaf.offset + c.shift, size)]

    def places(self, leaf: Leaf, tag: Tag, wanted: Expected) -> list[Place]:
        """Return every way in which this tag would have the value."""
        order = tag.order or self.order
        return [
            Place(
                name=leaf.name,
                datatype=leaf.datatype,
                address=address_of(self._block.base, leaf.datatype, leaf.offset + c.shift),
                order=c.order,
                shift=c.shift,
                value=c.value,
                remedy="" if c.order == order and not c.shift else self.remedy(c, leaf, tag),
            )
            for c in self.ways(leaf, tag)
            if wanted.fits(c.value)
        ]

    def moved(self, shift: int) -> str:
        """Return where the block begins when everything in it lies ``shift`` bytes further on."""
        base = self._block.base
        if isinstance(base, S7Address):
            return f"byte {base.byte + shift} of DB{base.db}"
        return f"{base.area}:{base.register + shift // 2}"

    def remedy(self, c: Candidate, leaf: Leaf, tag: Tag) -> str:
        """Return what to write into the map so that the tag is read like this candidate."""
        parts = []
        if c.order != (tag.order or self.order):
            parts.append(
                f"order: {c.order}" if self._driver == "modbus" else f"the PLC must store it big-endian, not as {c.order}"
            )
        if c.shift:
            place = address_of(self._block.base, leaf.datatype, leaf.offset + c.shift)
            parts.append(
                f"at: {tag.offset + c.shift} ({place})" if tag.name == leaf.name else f"{place}, by {c.shift:+d} bytes"
            )
        return ", ".join(parts)


def _sentinels(search: _Search, leaves: dict[str, tuple[Leaf, Tag]], values: dict[str, Scalar]) -> tuple[str, Way | None]:
    """Return what is wrong with the two known numbers, and the one order and shift that puts both right."""
    fits: list[set[Way]] = []
    wrong = []
    for name, wanted in SENTINELS:
        leaf, tag = leaves[name]
        ways = search.ways(leaf, tag)
        fits.append({(c.order, c.shift) for c in ways if wanted.fits(c.value)})
        if name not in values or not wanted.fits(float(values[name])):
            value = values.get(name, "nothing")
            shown = f"16#{value:08X}" if isinstance(value, int) else f"{value:.7g}" if isinstance(value, float) else value
            wrong.append(f"{name} reads {shown}, not {wanted.text}")
    if not wrong:
        return "", (search.order, 0)
    both = fits[0] & fits[1]
    if not both:
        why = ": in no byte order and at no neighbour; the block is another one, or its program never ran"
        return "; ".join(wrong) + why, None
    order, shift = min(both, key=lambda f: (abs(f[1]), f[0]))
    remedies = [] if order == search.order else [f"plc.order: {order}"]
    if shift:
        remedies.append(f"the block at {search.moved(shift)}")
    return "; ".join(wrong) + f"; both are right with {', '.join(remedies)}", (order, shift)


def _checksum(values: dict[str, Scalar], mine: int) -> str:
    if "InterfaceChecksum" not in values:
        return "it could not be read"
    theirs = int(values["InterfaceChecksum"])
    return "" if theirs == mine else f"the PLC's is 16#{theirs:08X}, the map's 16#{mine:08X}: the blocks are not the map's"
