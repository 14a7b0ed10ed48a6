"""The patterns of the filter operator Like (OPC 10000-4, 7.7.3). Pure.

No regular expression: a pattern comes from a stranger, and backtracking would let a short one stall the loop.
"""

from __future__ import annotations


def like(subject: str, pattern: str) -> bool:
    r"""Return whether the whole subject matches: ``%`` any text, ``_`` one character, ``[a-c]`` ``[^ab]`` sets, ``\`` literal.

    Takes at most (length of the subject) × (length of the pattern) steps, whatever they hold.
    """
    pieces = _pieces(pattern)
    if pieces is None:
        return False
    first, *rest = pieces
    if not _fits(subject, 0, first) or (not rest and len(subject) != len(first)):
        return False
    at = len(first)
    for n, piece in enumerate(rest):
        if n == len(rest) - 1:
            end = len(subject) - len(piece)
            return end >= at and _fits(subject, end, piece)
        while not _fits(subject, at, piece):
            at += 1
            if at > len(subject):
                return False
        at += len(piece)
    return True


_Set = tuple[bool, frozenset[str], tuple[tuple[str, str], ...]]
"""One character: whether it must *not* be among these, single ones, ranges."""


def _pieces(pattern: str) -> list[list[_Set]] | None:
    """Return what stands between the ``%``, None for a pattern that is none."""
    pieces: list[list[_Set]] = [[]]
    at = 0
    while at < len(pattern):
        c = pattern[at]
        if c == "%":
            pieces.append([])
        elif c == "_":
            pieces[-1].append((True, frozenset(), ()))
        elif c == "[":
            end = pattern.find("]", at + 2)
            if end < 0:
                return None
            pieces[-1].append(_set(pattern[at + 1 : end]))
            at = end
        else:
            if c == "\\":
                at += 1
                if at == len(pattern):
                    return None
            pieces[-1].append((False, frozenset(pattern[at]), ()))
        at += 1
    return pieces


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


def _fits(subject: str, at: int, piece: list[_Set]) -> bool:
    if at + len(piece) > len(subject):
        return False
    for c, (negated, singles, ranges) in zip(subject[at : at + len(piece)], piece, strict=True):
        if (c in singles or any(low <= c <= high for low, high in ranges)) is negated:
            return False
    return True
