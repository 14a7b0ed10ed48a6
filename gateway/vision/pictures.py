"""Picture files become pixels here and nowhere else, so that a model is trained on what the camera from a folder will show.

A picture is taken whole or not at all: kind, depth, size and completeness are read from the file's own bytes before anything
is decoded, because a decoder may fill what is missing with grey, and a header of a few bytes may ask for gigabytes. It must
not know what the picture shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from gateway.core.errors import PictureError
from gateway.core.frame import Pixels

MAX_PIXELS = 64_000_000
"""Width × height; beyond it a file is refused unread."""
MAX_BYTES = 256 << 20
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm"})
"""What a folder is searched for (lower case); the bytes decide, not the name."""
KINDS = "PNG, JPEG, BMP or binary PGM/PPM with 8 bits a sample"

_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length: TEM, RST0–7
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def read_picture(path: Path, channels: int) -> Pixels:
    """Return the picture at ``path`` as u8[H, W, channels], channels 1 (grey) or 3 (BGR), pixels in the order they are stored.

    A colour file read in one channel is its luminance, a grey file read in three repeats itself; transparency is ignored, and
    so is an orientation note (positions in a picture count stored pixels). Raises PictureError, naming file and remedy, for a
    file that is absent, unreadable, truncated, of another kind or depth, or larger than 64 million pixels. A JPEG carries no
    checksum: damage inside it that leaves its structure whole cannot be seen.
    """
    flags = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}[channels] | cv2.IMREAD_IGNORE_ORIENTATION
    data = _read(path)
    try:
        height, width = _size(data)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from None
    except (struct.error, IndexError):
        raise PictureError(f"{path}: the file ends within its header; copy it again") from None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise PictureError(f"{path}: cannot be decoded ({error.err}); save it again as PNG") from None
    if image is None or image.shape[:2] != (height, width):
        raise PictureError(f"{path}: cannot be decoded, the file is damaged or truncated; copy it again")
    pixels: Pixels = np.ascontiguousarray(image, dtype=np.uint8).reshape(height, width, channels)
    return pixels


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # a pipe or a device would block
            raise PictureError(f"{path}: there is no such picture file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise PictureError(f"{path}: {size / 2**20:.0f} MiB are no picture; the limit is {MAX_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror}; check the file's permissions") from None


def _size(data: bytes) -> tuple[int, int]:
    """Return height and width of a picture that is of a known kind, complete and not too large."""
    if not data:
        raise PictureError("the file is empty; copy it again")
    for magic, measure in _MEASURES.items():
        if data.startswith(magic):
            height, width = measure(data)
            break
    else:
        raise PictureError(f"this is no picture that can be read; save it as {KINDS}")
    if height < 1 or width < 1:
        raise PictureError(f"the header says {width}×{height} pixels; save the picture again")
    if height * width > MAX_PIXELS:
        raise PictureError(
            f"{width}×{height} pixels are too many (the limit is {MAX_PIXELS // 1_000_000} million); cut it or scale it down"
        )
    return height, width


def _truncated() -> PictureError:
    return PictureError("the file is truncated; copy it again")


def _depth(bits: int) -> PictureError:
    return PictureError(f"{bits} bits a sample; save it as {KINDS}")


def _png(data: bytes) -> tuple[int, int]:
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    if depth > 8:
        raise _depth(depth)
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        at += 12 + length
        if kind == b"IEND" and at <= len(data):
            return height, width
    raise _truncated()


def _jpeg(data: bytes) -> tuple[int, int]:
    """Walk the segments and the scans between them to the end-of-image marker."""
    size: tuple[int, int] | None = None
    at = 2
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise _truncated()
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x00 or marker in _JPEG_BARE:  # 0: an escaped byte of a scan
            at += 2
        elif marker == 0xD9:
            if size is None:
                raise _truncated()
            return size
        else:
            if marker in _JPEG_FRAMES:
                depth, height, width, components = struct.unpack_from(">BHHB", data, at + 4)
                if depth != 8:
                    raise _depth(depth)
                if components not in (1, 3):
                    raise PictureError(f"{components} colour components; save it as grey or RGB")
                size = height, width
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + length


def _bmp(data: bytes) -> tuple[int, int]:
    start, header = struct.unpack_from("<II", data, 10)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)  # negative: the rows run from the top
    if compression == 0 and len(data) < start + (width * bits + 31) // 32 * 4 * height:
        raise _truncated()
    return height, width


def _pnm(data: bytes) -> tuple[int, int]:
    numbers: list[int] = []
    at = 2
    while len(numbers) < 3:
        while (byte := data[at : at + 1]).isspace() or byte == b"#":  # a comment lasts to the end of its line
            at = at + 1 if byte != b"#" else (data.find(b"\n", at) + 1 or len(data))
        end = at
        while data[end : end + 1].isdigit() and end - at < 10:
            end += 1
        if end == at:
            raise PictureError("the header is damaged; save the picture again")
        numbers.append(int(data[at:end]))
        at = end
    width, height, largest = numbers
    if largest != 255:
        raise PictureError(f"the largest value is {largest}, not 255; save it as {KINDS}")
    if len(data) < at + 1 + width * height * (3 if data[1:2] == b"6" else 1):
        raise _truncated()
    return height, width


_MEASURES: dict[bytes, Callable[[bytes], tuple[int, int]]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"\xff\xd8\xff": _jpeg,
    b"BM": _bmp,
    b"P5": _pnm,
    b"P6": _pnm,
}
