"""A ring of frames in one shared file: one process writes, any number in other processes read, and nobody waits.

Slot ``n % slots`` holds frame ``n``. Each slot has a generation word: ``2n`` = frame n is complete, ``2n - 1`` = frame n is
about to be written there, 0 = never used. The word of the *next* slot is made odd as soon as a frame is complete, so a slot is
void long before its pixels change; a reader copies first and then asks whether the generation still stands. That is right where
stores and loads keep their order (x86). It must not know cameras, parts or what travels beside the ring.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import struct
import tempfile
import threading
from pathlib import Path

import numpy as np

from gateway.core.errors import GatewayError, PictureError
from gateway.core.frame import Pixels

_MAGIC = b"VG-FRAME"
_VERSION = 1
_HEADER = struct.Struct("=8sII Q")  # magic, version, slots, slot bytes
_WORDS_AT = 64
_PAGE = 4096
_WORD = 8


def ring_folder() -> Path:
    """Return the folder for rings: /dev/shm, or the folder for temporary files where there is none."""
    shared = Path("/dev/shm")  # noqa: S108 - shared memory is what it is for; names are made by the configuration
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else Path(tempfile.gettempdir())


class FrameRing:
    """Made by :meth:`create` (the writer) or :meth:`attach` (a reader)."""

    def __init__(self, path: Path, fd: int, slots: int, slot_bytes: int, *, writes: bool) -> None:
        """Map an open ring file; use :meth:`create` or :meth:`attach`."""
        self.path = path
        self.slots = slots
        self.slot_bytes = slot_bytes
        self._fd = fd
        self._first = _first_slot_at(slots)
        access = mmap.ACCESS_WRITE if writes else mmap.ACCESS_READ
        try:
            self._map = mmap.mmap(fd, self._first + slots * slot_bytes, access=access)
        except OSError as error:
            os.close(fd)
            raise GatewayError(f"{path}: the frame ring cannot be mapped: {error.strerror}; free memory") from None
        # Items of a cast view are moved as one aligned 8-byte load or store, so that no reader sees half a generation.
        self._words = memoryview(self._map)[_WORDS_AT : _WORDS_AT + slots * _WORD].cast("Q")
        self._reserved = [0] * slots
        self._next = 0
        self._turn = threading.Lock()

    @classmethod
    def create(cls, path: Path, *, slots: int = 32, slot_bytes: int = 32 << 20) -> FrameRing:
        """Return the ring at ``path`` for writing; a ring of the same geometry is taken over and its generations go on.

        So a reader that attached before the writer was restarted stays valid. The file is sparse: memory is taken for the
        pixels written only. Raises GatewayError when the file cannot be made or another process writes it.
        """
        if slots < 2 or slot_bytes < 1 or slot_bytes % _PAGE:
            raise ValueError(f"slots ≥ 2 and slot_bytes a multiple of {_PAGE}, not {slots} and {slot_bytes}")
        try:
            fd, fresh = _open_locked(path, slots, slot_bytes)
        except BlockingIOError:
            raise GatewayError(f"{path}: another process writes this frame ring; stop that one first") from None
        except OSError as error:
            raise GatewayError(
                f"{path}: the frame ring cannot be made: {error.strerror}; check room and permissions in {path.parent}"
            ) from None
        ring = cls(path, fd, slots, slot_bytes, writes=True)
        # A fresh ring begins at a random number: what was said about an earlier ring at this path must never fit this one.
        ring._next = secrets.randbelow(1 << 40) + 1 if fresh else max(ring._words) // 2 + 1
        ring._void(ring._next)
        return ring

    @classmethod
    def attach(cls, path: Path) -> FrameRing:
        """Return the ring at ``path`` for reading. Raises GatewayError when there is none."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise GatewayError(
                f"{path}: there is no frame ring ({error.strerror}); the camera's capture process makes it, is it running?"
            ) from None
        geometry = _geometry(fd)
        if geometry is None:
            os.close(fd)
            raise GatewayError(f"{path}: this is no frame ring of this version; remove the file and start the gateway again")
        return cls(path, fd, *geometry, writes=False)

    def write(self, image: Pixels) -> tuple[int, int]:
        """Copy ``image`` (u8[H, W, C]) into the next slot and return (slot, generation).

        Raises PictureError when it is larger than a slot, and GatewayError when the shared memory is full.
        """
        if image.dtype != np.uint8 or image.ndim != 3:
            raise PictureError(f"a frame is u8[H, W, C], not {image.dtype}{list(image.shape)}")
        if not 0 < image.nbytes <= self.slot_bytes:
            height, width, channels = image.shape
            raise PictureError(
                f"a picture of {width}×{height}×{channels} has {image.nbytes} bytes, a slot of the frame ring holds 1 to "
                f"{self.slot_bytes}; set a smaller picture at the camera"
            )
        # Taking the lock is a full barrier on x86: the odd word is seen before the first of the new pixels.
        with self._turn:
            n = self._next
            slot = n % self.slots
            self._reserve(slot, image.nbytes)
            np.copyto(self._pixels(slot, image.shape), image)
            self._words[slot] = 2 * n
            self._next = n + 1
            self._void(n + 1)
        return slot, 2 * n

    def view(self, slot: int, shape: tuple[int, int, int]) -> Pixels:
        """Return the slot's pixels as a read-only array that shares the memory: copy, then ask :meth:`valid`.

        Raises GatewayError when slot or shape do not fit the ring.
        """
        if not 0 <= slot < self.slots or min(shape) < 1 or shape[0] * shape[1] * shape[2] > self.slot_bytes:
            raise GatewayError(
                f"{self.path}: no picture {shape} lies in slot {slot} of {self.slots} slots of {self.slot_bytes} bytes; "
                "capture and its readers do not belong together, start the gateway again"
            )
        pixels = self._pixels(slot, shape)
        pixels.flags.writeable = False
        return pixels

    def valid(self, slot: int, generation: int) -> bool:
        """Return whether the slot still holds the frame of this generation, whole."""
        # An odd word is a slot in the making: a generation that equals it names no frame.
        return 0 <= slot < self.slots and generation > 0 and generation % 2 == 0 and self._words[slot] == generation

    def copy(self, slot: int, generation: int, shape: tuple[int, int, int]) -> Pixels | None:
        """Return a copy of the frame, or None when it is (or meanwhile was) overwritten."""
        if not self.valid(slot, generation):
            return None
        pixels = self.view(slot, shape).copy()
        return pixels if self.valid(slot, generation) else None

    def close(self) -> None:
        """Let go of the ring; the file stays. Views that are still held stay readable. Safe twice."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self._words.release()
        with contextlib.suppress(BufferError):  # somebody holds a view: the mapping goes with the last of them
            self._map.close()

    def _pixels(self, slot: int, shape: tuple[int, ...]) -> Pixels:
        count = shape[0] * shape[1] * shape[2]
        return np.frombuffer(self._map, np.uint8, count, self._first + slot * self.slot_bytes).reshape(shape)

    def _void(self, n: int) -> None:
        self._words[n % self.slots] = 2 * n - 1

    def _reserve(self, slot: int, size: int) -> None:
        """Make sure that the memory is there: writing to a sparse page that cannot be had kills the process (SIGBUS)."""
        if size <= self._reserved[slot]:
            return
        try:
            os.posix_fallocate(self._fd, self._first + slot * self.slot_bytes, size)
        except OSError as error:
            raise GatewayError(
                f"{self.path}: no memory for a picture of {size} bytes: {error.strerror}; "
                f"enlarge {self.path.parent} (in a container: its shm size)"
            ) from None
        self._reserved[slot] = size


def _first_slot_at(slots: int) -> int:
    return -(-(_WORDS_AT + slots * _WORD) // _PAGE) * _PAGE


def _open_locked(path: Path, slots: int, slot_bytes: int) -> tuple[int, bool]:
    """Return the descriptor of a locked ring of this geometry, and whether it is fresh."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            # The lock ends with the process, however it ends: two writers would make every generation worthless.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(fd, path):  # else it was replaced between the two calls
                if _geometry(fd) == (slots, slot_bytes):
                    return fd, False
                if os.fstat(fd).st_size == 0:
                    _format(fd, slots, slot_bytes)
                    return fd, True
                if os.pread(fd, len(_MAGIC), 0) not in (_MAGIC, bytes(len(_MAGIC))):
                    raise GatewayError(f"{path}: this file is no frame ring; remove it if nobody needs it")
                # Another geometry. Not truncated, for a reader may have it mapped: the path gets a new file.
                path.unlink()
        except (OSError, GatewayError):
            os.close(fd)
            raise
        os.close(fd)


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(fd)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _format(fd: int, slots: int, slot_bytes: int) -> None:
    first = _first_slot_at(slots)
    os.ftruncate(fd, first + slots * slot_bytes)
    os.posix_fallocate(fd, 0, first)
    os.pwrite(fd, _HEADER.pack(_MAGIC, _VERSION, slots, slot_bytes), 0)  # last: it makes the file a ring


def _geometry(fd: int) -> tuple[int, int] | None:
    """Return (slots, slot bytes), or None when the file is no complete ring of this version."""
    head = os.pread(fd, _HEADER.size, 0)
    if len(head) < _HEADER.size:
        return None
    magic, version, slots, slot_bytes = _HEADER.unpack(head)
    if magic != _MAGIC or version != _VERSION or slots < 2 or slot_bytes < 1:
        return None
    return (slots, slot_bytes) if os.fstat(fd).st_size == _first_slot_at(slots) + slots * slot_bytes else None
