"""Who gives way when there are too many connections."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.opcua.crowd import MAX_CONNECTIONS, MAX_PENDING, MAX_PER_PEER, Standing, room_for


@dataclass(frozen=True)
class One:
    name: int
    address: str
    standing: Standing = Standing.SOCKET


def many(count: int, standing: Standing = Standing.SOCKET, address: str = "") -> list[One]:
    return [One(n, address or f"192.0.2.{n % 200}/{n}", standing) for n in range(count)]


def test_as_long_as_there_is_room_nobody_gives_way() -> None:
    assert room_for([], "a") == (True, None)
    assert room_for(many(MAX_PENDING - 1), "a") == (True, None)
    assert room_for(many(MAX_CONNECTIONS - 1, Standing.LIVE), "a") == (True, None)
    assert room_for(many(MAX_PER_PEER - 1, address="a"), "a") == (True, None)


def test_of_an_address_with_too_many_its_oldest_gives_way_and_nobody_else_s() -> None:
    others, here = many(5), many(MAX_PER_PEER, address="a")
    assert room_for([*others, *here], "a") == (True, here[0])
    assert room_for([*others, *here], "b") == (True, None)


def test_of_all_one_of_the_address_with_the_most_gives_way() -> None:
    honest, crowd = One(1000, "honest"), many(MAX_PENDING - 1, address="crowd")
    assert room_for([honest, *crowd], "another") == (True, crowd[0]), "however long the honest one has been there"


def test_who_has_shown_a_trusted_certificate_gives_way_last() -> None:
    proven, crowd = many(50, Standing.CHANNEL, "a"), many(50)
    assert room_for([*proven, *crowd], "b") == (True, crowd[0])
    assert room_for(many(MAX_PENDING, Standing.CHANNEL), "b")[1] is not None


def test_who_has_logged_in_never_gives_way() -> None:
    assert room_for(many(MAX_CONNECTIONS, Standing.LIVE), "a") == (False, None)
    assert room_for(many(MAX_PER_PEER, Standing.LIVE, "a"), "a") == (False, None)
    last = One(1000, "b")
    assert room_for([*many(MAX_CONNECTIONS - 1, Standing.LIVE), last], "a") == (True, last)
