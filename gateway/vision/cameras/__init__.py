"""Cameras: one file a kind, each with its configuration, which is also its factory.

Reading order: ``camera`` (what every kind promises) → ``folder`` → ``video`` → ``simulated``. A new kind is one file, one name
in the union below, and the suite in tests/contract/test_camera.py. Importing this package loads no driver.
"""

from typing import Annotated

from pydantic import Field

from gateway.vision.cameras.camera import Camera
from gateway.vision.cameras.folder import FolderConfig
from gateway.vision.cameras.simulated import SimulatedConfig
from gateway.vision.cameras.video import VideoConfig

CameraConfig = Annotated[FolderConfig | VideoConfig | SimulatedConfig, Field(discriminator="kind")]

__all__ = ["Camera", "CameraConfig", "FolderConfig", "SimulatedConfig", "VideoConfig"]
