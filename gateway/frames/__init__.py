"""The shared-memory ring in which pixels live once, and the few words that travel about them.

Reading order: ``ring`` → ``stamps`` → ``folder``. Who writes and who reads, and what a frame shows, is not known here.
"""

from gateway.frames.ring import FrameRing, ring_folder

__all__ = ["FrameRing", "ring_folder"]
