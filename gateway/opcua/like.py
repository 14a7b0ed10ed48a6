"""The patterns of the filter operator Like (OPC 10000-4, 7.7.3). Pure.

No regular expression and no backtracking: a pattern comes from a stranger, and a short one could stall the loop. All places of
the pattern that a text may have reached are the bits of one number, which each character moves on at once.
"""

from __future__ import annotations

MAX_PATTERN = 64
"""Characters."""
_MAX_KEPT = 256
"""Characters whose mask is kept from one text to the next."""

_Set = tuple[bool, frozenset[str], tuple[tuple[str, str], ...]]
"""One character: whether it must *not* be among these, single ones, ranges."""


class Pattern:
    r"""A pattern for a whole text: ``%`` any text, ``_`` one character, ``[a-c]`` ``[^ab]`` sets, ``\`` literal."""

    def __init__(self, pattern: str) -> None:
        """Take the pattern. ValueError for one that is none, or longer than :data:`MAX_PATTERN`."""
        if len(pattern) > MAX_PATTERN:
            raise ValueError(f"{len(pattern)} characters; {MAX_PATTERN} at most")
        self._atoms: list[_Set] = []
        self._stay = 0
        """Bit n: any text may stand before atom n."""
        self._read(pattern)
        self._masks: dict[str, int] = {}

    def fits(self, subject: str) -> bool:
        """Return whether the whole subject matches, in one step a character."""
        reached, stay, masks = 1, self._stay, self._masks
        for c in subject:
            mask = masks.get(c)
            reached = ((reached & (self._mask(c) if mask is None else mask)) << 1) | (reached & stay)
            if not reached:
                return False
        return bool(reached >> len(self._atoms) & 1)

    def _mask(self, c: str) -> int:
        """Return the atoms that a character fits, bit n for atom n."""
        mask = 0
        for n, (negated, singles, ranges) in enumerate(self._atoms):
            if (c in singles or any(low <= c <= high for low, high in ranges)) is not negated:
                mask |= 1 << n
        if len(self._masks) < _MAX_KEPT:
            self._masks[c] = mask
        return mask

    def _read(self, pattern: str) -> None:
        at = 0
        while at < len(pattern):
            c = pattern[at]
            if c == "%":
                self._stay |= 1 << len(self._atoms)
            elif c == "_":
                self._atoms.append((True, frozenset(), ()))
            elif c == "[":
                end = pattern.find("]", at + 2)
                if end < 0:
                    raise ValueError("a set without its end")
                self._atoms.append(_set(pattern[at + 1 : end]))
                at = end
            else:
                if c == "\\":
                    at += 1
                    if at == len(pattern):
                        raise ValueError("nothing after the last backslash")
                self._atoms.append((False, frozenset(pattern[at]), ()))
            at += 1


def _set(inner: str) -> _Set:
    negated = inner.startswith("^")
    inner = inner[negated:]
    singles, ranges, at = set(), [], 0
    while at < len(inner):
        if at + 2 < len(inner) and inner[at + 1] == "-":
            ranges.append((inner[at], inner[at + 2]))
            at += 3
        else:
            singles.add(inner[at])
            at += 1
    return negated, frozenset(singles), tuple(ranges)
