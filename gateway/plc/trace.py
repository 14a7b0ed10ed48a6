"""The trace block: which part its texts belong to, and what they say; read whenever the line wants it.

Apart from the codec because a text here is evidence of a part's identity: bytes that are none are told from an empty text;
apart from the further blocks because it is read for each part. When a text may be believed is not decided here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from gateway.core.codec import BlockCodec
from gateway.core.tags import Scalar, Span, Tag, TagMap
from gateway.plc.listener import Listener, TraceImage

PART = "trace.part"
TEXTS = ("serial", "lot", "product", "carrier")


class TraceBlock:
    """Where the trace tags of one map lie; for a map that has them (:meth:`of`)."""

    def __init__(self, tag_map: TagMap) -> None:
        """Lay it out once; ``maps`` has seen to it that they are Strings of one block that one request can carry."""
        part = tag_map.roles[PART]
        block = next(b for b in (tag_map.up, *tag_map.extra) if part in b.tags)
        self._part = part.name
        self._texts = {name: tag_map.roles[f"trace.{name}"] for name in TEXTS if f"trace.{name}" in tag_map.roles}
        tags = (part, *self._texts.values())
        start, end = min(t.offset for t in tags), max(t.offset + t.size for t in tags)
        self.span = Span(block=block, offset=start - start % 2, length=end + end % 2 - start + start % 2)
        """What is read, with one request."""
        # As plain bytes, which the codec puts in their order and does not judge.
        raw = (replace(t, datatype="Byte", count=t.size, low=0) for t in self._texts.values())
        codec_block = replace(block, tags=(part, *raw))
        self._codec = BlockCodec(codec_block, tag_map.order, start=self.span.offset, length=self.span.length)

    @staticmethod
    def of(tag_map: TagMap) -> TraceBlock | None:
        """Return the map's trace block, None if it has none."""
        return TraceBlock(tag_map) if PART in tag_map.roles else None

    async def read_forever(
        self,
        read: Callable[[Span], Awaitable[bytes]],
        turn: Callable[[], AbstractAsyncContextManager[None]],
        listener: Listener,
        mono_ns: Callable[[], int],
    ) -> None:
        """Read at once, and then when ``listener`` wants it, at most once in each ``turn``; ends with the device's error.

        To be called anew after each baseline: what is read at once shows what the block holds from before it.
        """
        first = True
        while True:
            async with turn():
                if first or listener.trace_wanted():
                    asked_ns = mono_ns()
                    data = await read(self.span)
                    listener.on_trace(self.image(data, asked_ns=asked_ns, now_ns=mono_ns(), first=first))
                    first = False

    def image(self, data: bytes, *, asked_ns: int, now_ns: int, first: bool = False) -> TraceImage:
        """Return what the bytes of :attr:`span` say; ``first`` as in TraceImage."""
        values = self._codec.decode(data)
        texts = {name: _text(tag, values) for name, tag in self._texts.items()}
        part_id = int(values[self._part])
        return TraceImage(t_asked_mono_ns=asked_ns, t_mono_ns=now_ns, part_id=part_id, texts=texts, first=first)


def _text(tag: Tag, values: Mapping[str, Scalar]) -> str | None:
    """Return the text without the blanks around it; None when the length is impossible or a character cannot be printed."""
    _, length, *characters = (int(values[f"{tag.name}[{i}]"]) for i in range(tag.size))
    if length > len(characters):
        return None
    text = bytes(characters[:length]).decode("latin-1").strip(" \0")
    return text if text.isprintable() else None
