"""Where a line's pictures come from: rendered from the truth, or taken from a directory with a folder a class.

Both answer one call on a worker thread with the picture of a physical part. The folder's name is the truth; neither it nor
the path ever leaves this side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from simulators.imaging import Imaging, Pixels, degrade
from simulators.process import Truth
from simulators.render import render

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_JPEG = (".jpg", ".jpeg")
MOST_PX = 65535
"""Of a picture's edge: what a frame's header can say."""

#: Takes the picture u8[H, W, C] of a part in the given imaging state; called on a worker thread.
Shot = Callable[[Imaging], Pixels]


class UnusablePicturesError(Exception):
    """A directory of pictures or one file of it cannot be used; the message says which and what to do."""


class Renderer:
    """Renders parts from their truth."""

    def __init__(self, *, seed: int, size: int, channels: int) -> None:
        """``size`` is the edge in px; with 3 channels the grey picture is repeated."""
        self._seed = seed
        self._size = size
        self._channels = channels
        render(np.random.default_rng(0), "good", size=size)  # fills the pool before the belt moves

    def shot(self, n: int, truth: Truth) -> Shot:
        """Return how part ``n`` is photographed."""

        def take(imaging: Imaging) -> Pixels:
            picture = render(np.random.default_rng([self._seed, n, 4]), truth.label, imaging, self._size)
            return np.repeat(picture, self._channels, axis=2) if self._channels > 1 else picture

        return take


class PictureFolder:
    """Shows stored pictures: shuffled by the seed, each once before any repeats, reshuffled for every pass."""

    def __init__(
        self, folder: Path, *, passes: frozenset[str], seed: int, channels: int, known: frozenset[str] = frozenset()
    ) -> None:
        """List ``folder``; ``known`` are the labels of the model that will judge, if they are known.

        UnusablePicturesError if it holds no pictures in class folders, one that is none, or classes of another model.
        """
        self._files = list_pictures(folder)
        labels = sorted({label for label, _ in self._files})
        if not passes & set(labels):
            raise UnusablePicturesError(
                f"{folder}: no class folder is named {' or '.join(sorted(passes))}, which may pass; "
                f"it has {', '.join(labels)}; "
                "name a model trained on such pictures"
            )
        if strange := sorted(set(labels) - known if known else ()):
            raise UnusablePicturesError(
                f"{folder}: the model knows no class {', '.join(strange)}; it knows {', '.join(sorted(known))}; "
                "take the folder away, or name a model trained on such pictures"
            )
        self._passes = passes
        self._seed = seed
        self._mode = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR_BGR
        self._pass_number = -1
        self._order: list[int] = []
        self._chosen: dict[int, Path] = {}

    def __len__(self) -> int:
        """Return how many pictures there are."""
        return len(self._files)

    def make(self, n: int) -> Truth:
        """Choose the picture that is part ``n`` (from 1, in order); the process has no influence on it."""
        number, index = divmod(n - 1, len(self._files))
        if number != self._pass_number:
            self._pass_number = number
            self._order = [int(i) for i in np.random.default_rng([self._seed, number, 5]).permutation(len(self._files))]
        label, path = self._files[self._order[index]]
        self._chosen[n] = path
        return Truth(label=label, defective=label not in self._passes)

    def shot(self, n: int, truth: Truth) -> Shot:
        """Return how part ``n`` is photographed; UnusablePicturesError on the worker when its file cannot be decoded."""
        path = self._chosen.pop(n)

        def take(imaging: Imaging) -> Pixels:
            try:
                image = cv2.imread(str(path), self._mode)
            except cv2.error:  # a header that asks for more pixels than OpenCV reads
                image = None
            if image is None or max(image.shape) > MOST_PX:
                raise UnusablePicturesError(
                    f"{path}: cannot be decoded, or is more than {MOST_PX} px wide or high; "
                    "repair it or take it out of the directory"
                )
            picture = np.asarray(image, dtype=np.uint8)
            return degrade(
                picture if picture.ndim == 3 else picture[:, :, np.newaxis], imaging, np.random.default_rng([self._seed, n, 6])
            )

        return take


def list_pictures(folder: Path) -> list[tuple[str, Path]]:
    """Return (class, path) of every picture, sorted; a PNG with a JPEG of the same stem beside it is a mask and left out.

    UnusablePicturesError if there is none, or if a file is not what its suffix says.
    """
    if not folder.is_dir():
        raise UnusablePicturesError(f"{folder}: there is no such directory; give one with a folder a class")
    found: list[tuple[str, Path]] = []
    for label in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(p for p in label.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        photographs = {p.with_suffix("") for p in files if p.suffix.lower() in _JPEG}
        for path in files:
            if path.suffix.lower() == ".png" and path.with_suffix("") in photographs:
                continue
            if not cv2.haveImageReader(str(path)):
                raise UnusablePicturesError(f"{path}: is no picture of a known kind; repair it or take it out of the directory")
            found.append((label.name, path))
    if not found:
        raise UnusablePicturesError(f"{folder}: holds no pictures; it needs a folder a class with {', '.join(SUFFIXES)} files")
    return found
