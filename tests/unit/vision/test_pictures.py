"""Reading pictures: whole and of the right kind, or an error that names the file and what to do."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from gateway.core.errors import PictureError
from gateway.core.frame import Pixels
from gateway.vision.pictures import MAX_BYTES, read_picture

LOSSLESS = (".png", ".bmp")


def noise(*shape: int) -> Pixels:
    return np.random.default_rng(3).integers(0, 256, shape, dtype=np.uint8)


def encoded(kind: str, image: np.ndarray) -> bytes:
    ok, data = cv2.imencode(kind, image)
    assert ok
    return data.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, body: bytes = b"", depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int, *, depth: int = 8, components: int = 1) -> bytes:
    """Return a JPEG whose frame header is patched."""
    data = bytearray(encoded(".jpg", noise(16, 16)))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">BHHB", data, at + 4, depth, height, width, components)
    return bytes(data)


def refused(tmp_path: Path, data: bytes, why: str, name: str = "bad.png") -> None:
    path = tmp_path / name
    path.write_bytes(data)
    for channels in (1, 3):
        with pytest.raises(PictureError, match=why) as caught:
            read_picture(path, channels)
        assert name in str(caught.value)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_pictures_come_back_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    grey, colour = noise(37, 53), noise(37, 53, 3)
    (tmp_path / f"g{kind}").write_bytes(encoded(kind, grey))
    (tmp_path / f"c{kind}").write_bytes(encoded(kind, colour))
    assert np.array_equal(read_picture(tmp_path / f"g{kind}", 1)[:, :, 0], grey)
    assert np.array_equal(read_picture(tmp_path / f"c{kind}", 3), colour)
    assert np.array_equal(read_picture(tmp_path / f"g{kind}", 3), np.repeat(grey[:, :, None], 3, 2))
    luminance = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(int)
    assert np.abs(read_picture(tmp_path / f"c{kind}", 1)[:, :, 0] - luminance).max() <= 1


@pytest.mark.parametrize(("kind", "channels"), [(".pgm", 1), (".ppm", 3)])
def test_netpbm_with_comments(tmp_path: Path, kind: str, channels: int) -> None:
    image = noise(9, 11, channels)
    body = (image if channels == 1 else image[:, :, ::-1]).tobytes()
    magic = b"P5" if channels == 1 else b"P6"
    path = tmp_path / f"a{kind}"
    path.write_bytes(magic + b"\n# a camera\n11 #w\n9\n255\n" + body)
    assert np.array_equal(read_picture(path, channels), image)


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("restarts", [0, 2])
def test_jpeg_in_all_its_layouts(tmp_path: Path, progressive: int, restarts: int) -> None:
    image = cv2.GaussianBlur(noise(64, 80, 3), (0, 0), 5)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restarts])
    path = tmp_path / "a.jpg"
    path.write_bytes(data.tobytes())
    got = read_picture(path, 3)
    assert np.abs(got.astype(int) - image).mean() < 4
    assert read_picture(path, 1).shape == (64, 80, 1)
    path.write_bytes(data.tobytes() + b"\r\nappended by a camera")
    assert np.array_equal(read_picture(path, 3), got)


def test_an_orientation_note_turns_nothing(tmp_path: Path) -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"  # orientation 6: a quarter turn
    data = encoded(".jpg", noise(8, 24))
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    assert read_picture(path, 1).shape == (8, 24, 1)


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", ".pgm"])
def test_a_truncated_picture_is_refused_wherever_it_ends(tmp_path: Path, kind: str) -> None:
    data = encoded(kind, noise(40, 40))
    for end in {1, 2, 8, 10, 17, 25, 30, len(data) // 2, len(data) - 40, len(data) - 1}:
        refused(tmp_path, data[:end], "truncated|ends within its header|header is damaged|no picture that can be read")


def test_a_thumbnails_end_is_not_the_pictures_end(tmp_path: Path) -> None:
    data = encoded(".jpg", noise(40, 40))
    thumbnail = encoded(".jpg", noise(8, 8))
    whole = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    (tmp_path / "a.jpg").write_bytes(whole)
    assert read_picture(tmp_path / "a.jpg", 1).shape == (40, 40, 1)
    refused(tmp_path, whole[:-100], "truncated")


def test_damage_inside_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(".png", noise(40, 40)))
    data[len(data) // 2] ^= 0x10
    refused(tmp_path, bytes(data), "damaged or truncated")
    refused(tmp_path, png(40, 40, bytes(41 * 20)), "damaged or truncated")  # half of the rows are not there
    capfd.readouterr()  # what the decoder says about it


@pytest.mark.parametrize(
    "data",
    [
        png(1 << 20, 1 << 20),
        png(64_000_001, 1),
        jpeg_of(65535, 65535),
        b"BM" + struct.pack("<IIIIiiHHI", 1 << 30, 0, 54, 40, 50_000, -50_000, 1, 8, 1) + bytes(20),
        b"P5 90000 90000 255 \0\0\0",
    ],
)
def test_a_huge_picture_is_refused_by_its_header(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(cv2, "imdecode", decode)
    refused(tmp_path, data, "too many.*scale it down|truncated")


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(PictureError, match="big.png.*the limit is 256 MiB"):
        read_picture(path, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello", "no picture that can be read; save it as PNG"),
        (b"GIF89a" + bytes(50), "save it as PNG"),
        (b"II*\0" + bytes(50), "save it as PNG"),
        (b"P2 1 1 255 7", "save it as PNG"),
        (b"P5 1 1 65535 77", "largest value is 65535"),
        (b"P5 # no end", "header is damaged"),
        (png(4, 4, bytes(36), depth=16), "16 bits a sample; save it as"),
        (png(0, 4), "0×4 pixels"),
        (jpeg_of(16, 16, depth=12), "12 bits a sample"),
        (jpeg_of(16, 16, components=4), "4 colour components"),
        (b"\xff\xd8\xff\xd9", "truncated"),
    ],
)
def test_what_is_no_usable_picture_is_refused(tmp_path: Path, data: bytes, why: str) -> None:
    refused(tmp_path, data, why)


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("absent.png", "pipe.png", "."):
        with pytest.raises(PictureError, match="no such picture file"):
            read_picture(tmp_path / name, 1)


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 1, b"\0\0"))

    def forbidden(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)  # root may read everything
    with pytest.raises(PictureError, match=r"a\.png: cannot be read: Permission denied; check"):
        read_picture(tmp_path / "a.png", 1)
