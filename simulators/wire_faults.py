"""What the fault proxy can do to a connection, as a person writes it: one JSON object a fault.

Apart from the proxy because it is the vocabulary alone: checked once and fully, with no socket.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

Way = Literal["to", "back"]
WAYS: tuple[Way, ...] = ("to", "back")


class _Fault(BaseModel):
    """``way``: ``to`` the target, ``back`` to the client, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    way: Literal["to", "back", "both"] = "both"

    @property
    def ways(self) -> tuple[Way, ...]:
        """Return the directions that it concerns."""
        return WAYS if self.way == "both" else (self.way,)


class Cut(_Fault):
    """Reset both sides of every connection: now, or once exactly ``after`` more bytes have passed one way."""

    fault: Literal["cut"] = "cut"
    after: int | None = Field(default=None, ge=0)


class Delay(_Fault):
    """Hold every chunk back for ``ms`` ± ``jitter_ms``; the order stays, for TCP keeps it."""

    fault: Literal["delay"] = "delay"
    ms: float = Field(ge=0, le=60_000)
    jitter_ms: float = Field(default=0, ge=0, le=60_000)


class HalfOpen(_Fault):
    """Accept and keep connections, swallow what comes, say nothing of an end: the cable is out, nobody was told.

    When it is over, a connection that lost bytes is reset: TCP never goes on behind a gap.
    """

    fault: Literal["half_open"] = "half_open"


class Garble(_Fault):
    """Flip one bit in each byte with this probability, or in the byte that passes ``at`` bytes from now."""

    fault: Literal["garble"] = "garble"
    probability: float = Field(default=0, ge=0, le=1)
    at: int | None = Field(default=None, ge=0)


class Duplicate(_Fault):
    """Send a chunk twice, with this probability."""

    fault: Literal["duplicate"] = "duplicate"
    probability: float = Field(default=1, gt=0, le=1)


class Trickle(_Fault):
    """Send a byte at a time, with a pause of ``ms`` behind each."""

    fault: Literal["trickle"] = "trickle"
    ms: float = Field(default=0.5, ge=0, le=1000)


class Refuse(BaseModel):
    """Close the port; connections that stand are left alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Literal["refuse"] = "refuse"


class Nothing(BaseModel):
    """End every fault, open the port again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Literal["none"] = "none"


Fault = Cut | Delay | HalfOpen | Garble | Duplicate | Trickle | Refuse | Nothing
_ANY: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="fault")])


def parse_fault(text: str) -> Fault:
    """Return the fault that one JSON object names; ValueError says in one line what is wrong with it."""
    try:
        return _ANY.validate_json(text)
    except ValidationError as error:
        raise ValueError(
            "; ".join(f"{'.'.join(map(str, e['loc'][-1:])) or 'fault'}: {e['msg']}" for e in error.errors())
        ) from None
