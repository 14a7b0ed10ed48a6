"""A camera: opened, and asked for a frame, in a process of its own, for a driver may hang or take the process with it.

Run as a module it is that process: the camera's section as JSON on stdin, what came of it as JSON on stdout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

from pydantic import TypeAdapter

from gateway.core.errors import DeviceError, PictureError
from gateway.doctor.finding import Finding, error, ok, warning
from gateway.vision.cameras import CameraConfig

FRAME_PATIENCE_S = 3.0
PROCESS_PATIENCE_S = 20.0
WAITS_FOR_PARTS = ("simulated",)
"""Kinds whose pictures come when a part does: that none came means nothing."""


def camera(line: str, config: CameraConfig, in_use_by: int) -> Iterator[Finding]:
    """Look at one camera; ``in_use_by`` is the process of a running gateway, 0 when there is none."""
    subject = f"{line}.{config.name}"
    why = "without its frames every part of the line is NOT_INSPECTED, and rejected"
    try:
        done = subprocess.run(  # noqa: S603 - this Python and this module
            [sys.executable, "-m", "gateway.doctor.cameras"],
            input=config.model_dump_json(),
            capture_output=True,
            text=True,
            timeout=PROCESS_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        what = f"its driver does not return within {PROCESS_PATIENCE_S:g} s"
        yield error("camera", what, why, "unplug the camera and plug it in again; look at its driver", subject)
        return
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        yield error("camera", f"looking at it ended the process: {last}", why, "look at the camera's driver", subject)
        return
    said = json.loads(done.stdout)
    if "refused" in said:
        if in_use_by and config.kind == "video":
            what = f"{said['refused']} (the gateway runs, process {in_use_by}, and may hold the device)"
            yield warning("camera", what, why, "stop the gateway and look again", subject)
            return
        yield error("camera", said["refused"], why, "do what it says above; then run the doctor again", subject)
    elif said["shape"] is None and config.kind in WAITS_FOR_PARTS:
        yield ok("camera", "opened; its pictures come with parts, and none came meanwhile", subject)
    elif said["shape"] is None:
        yield error("camera", f"opened, but no frame within {FRAME_PATIENCE_S:g} s", why, "look at its trigger", subject)
    else:
        height, width, channels = said["shape"]
        dark = "" if said["spread"] else "; every pixel of it has the same value"
        what = f"a frame of {width} × {height} pixels, {channels} channel(s){dark}"
        if dark:
            yield warning("camera", what, "a covered lens or no light looks like that", "look at lens and lamp", subject)
        else:
            yield ok("camera", what, subject)


def look(text: str) -> dict[str, object]:
    """Open the camera and take a frame: its shape and spread of values, or why not."""
    config: CameraConfig = TypeAdapter[CameraConfig](CameraConfig).validate_json(text)
    device = config.build()
    until = time.monotonic() + FRAME_PATIENCE_S
    try:
        device.open()
        device.trigger()
        while time.monotonic() < until:
            if (frame := device.read(0.2)) is not None:
                image = frame.image
                return {"shape": list(image.shape), "spread": int(image.max()) - int(image.min())}
        return {"shape": None}
    except (DeviceError, PictureError) as refused:
        return {"refused": str(refused)}
    finally:
        device.close()


if __name__ == "__main__":
    print(json.dumps(look(sys.stdin.read())))
