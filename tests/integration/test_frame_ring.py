"""The frame ring between processes: a writer at full speed, overtaking its reader all the time, never shows it a torn frame."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from gateway.frames import FrameRing, ring_folder

SHAPE = (128, 512, 1)
WRITER = """
import sys
from pathlib import Path
import numpy as np
from gateway.frames import FrameRing

ring = FrameRing.create(Path(sys.argv[1]), slots=2, slot_bytes=1 << 16)
pictures = [np.full((128, 512, 1), value, np.uint8) for value in range(256)]
value = ring._next % 256
print("ready", flush=True)
for _ in range(int(sys.argv[2])):
    ring.write(pictures[value])  # the picture says which generation it is of
    value = (value + 1) % 256
"""


def write(path: Path, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(count)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_no_torn_frame_is_ever_taken_for_whole() -> None:
    path = ring_folder() / f"vg-test-{np.random.default_rng().integers(1 << 60)}"
    try:
        whole, overtaken = 0, 0
        with write(path, 1) as first:  # leaves the ring, for the next one goes on with it
            first.wait(timeout=30)
        reader = FrameRing.attach(path)
        with write(path, 30_000) as process:
            while process.poll() is None:
                for slot, generation in enumerate(list(reader._words)):
                    copy = reader.copy(slot, generation, SHAPE)
                    if copy is None:
                        overtaken += 1
                        continue
                    assert (copy == generation // 2 % 256).all(), f"slot {slot}, generation {generation} is torn"
                    whole += 1
            assert process.returncode == 0
        reader.close()
        assert whole > 50 and overtaken > 50, (whole, overtaken)
    finally:
        path.unlink(missing_ok=True)
