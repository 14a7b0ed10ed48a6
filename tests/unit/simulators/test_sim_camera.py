"""What crosses from the camera to the gateway, byte by byte: latches and pixels, and nothing else."""

from __future__ import annotations

import struct

import numpy as np

from simulators.camera import frame_bytes


def test_a_frame_is_its_header_and_its_pixels() -> None:
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    frame = frame_bytes(7, 1_234_567_890_123, 0xFFFFFFF0, picture)
    assert frame[:26] == b"VGF1" + struct.pack(">IqIBBHH", 7, 1_234_567_890_123, 0xFFFFFFF0, 1, 3, 2, 3)
    assert frame[26:] == bytes(range(18))


def test_a_view_is_sent_in_its_own_order() -> None:
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)[::-1, ::2]
    assert frame_bytes(1, 2, 3, picture)[26:] == bytes([12, 14, 8, 10, 4, 6, 0, 2])
