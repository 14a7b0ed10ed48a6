"""Errors that say what to do next: every error the gateway raises on purpose is one of these."""

from __future__ import annotations

from dataclasses import dataclass


class GatewayError(Exception):
    """Base of all deliberate errors; anything else is a bug and ends in the safe state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault in a user's file: where it is, what is wrong and the remedy.

    ``line`` and ``column`` are 1-based; 0 means that the file as a whole is meant.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """Render ``file:line:column: path: message``."""
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class ConfigError(GatewayError):
    """A user's file is wrong; the process exits with every problem listed, and nothing is half-applied."""

    def __init__(self, problems: list[Problem] | str) -> None:
        """Take all problems found, or one plain message."""
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)
        text = problems if isinstance(problems, str) else "\n".join(str(p) for p in problems)
        super().__init__(text)


class DeviceError(GatewayError):
    """A device failed during one operation."""

    def __init__(self, device: str, op: str, message: str) -> None:
        """Name the device, the operation that failed and why."""
        super().__init__(f"{device}: {op}: {message}")
        self.device = device
        self.op = op


class DeviceUnavailable(DeviceError):
    """No answer: drop the connection, back off, try again."""


class DeviceRefused(DeviceError):
    """The device answered with a refusal: never retried, a person must change something."""


class DeviceProtocolError(DeviceError):
    """The answer does not fit the question: the stream cannot be trusted, drop the connection."""


class DeadlineMissed(GatewayError):
    """A stage ended after the part's deadline; the part is NOT_INSPECTED."""

    def __init__(self, part_id: int, stage: str) -> None:
        """Name the part and the stage that was late."""
        super().__init__(f"part {part_id}: {stage} ended after the deadline")
        self.part_id = part_id
        self.stage = stage


class PartIdJump(GatewayError):
    """The PLC's PartId moved by more than any gap explains: another counter, so that no part in flight is certain any more."""

    def __init__(self, before: int, after: int) -> None:
        """Take the PartId known before and the one read now."""
        super().__init__(f"PartId jumped from {before} to {after}: the PLC was restarted or counts anew")


class SelfCheckFailed(GatewayError):
    """A stage of the way from picture to token has not worked for too long: the process ends, to be started afresh."""

    def __init__(self, stages: str) -> None:
        """Name what could not be proven."""
        super().__init__(f"the self-check fails: {stages}")


class ModelError(GatewayError):
    """A model package is absent, altered or does not fit; it may not serve."""


class PictureError(GatewayError):
    """A picture file cannot be used: unreadable, truncated, too large or of the wrong kind."""
