"""Bodies come back from their short form byte for byte, and most of them become much shorter."""

import json

import pytest
from zstandard import FRAME_HEADER

from adapters.write_through.squeezing import SAMPLES, Squeezer


def _body(number: int) -> bytes:
    identifier = {"key": "sisbov", "namespace": "bovino", "scope": "global", "value": f"{number:015}"}
    return json.dumps({"data": {"raça": "Nelore", "peso": number}, "identifiers": [identifier]}).encode()


ALIKE = [_body(number) for number in range(4 * SAMPLES)]
SHORT = [b"%d" % number for number in range(2 * SAMPLES)]


@pytest.mark.parametrize("bodies", [ALIKE, SHORT, [b"{}"] * SAMPLES], ids=["alike", "too short", "all the same"])
def test_every_body_comes_back_as_it_was(bodies: list[bytes]) -> None:
    squeezer = Squeezer()
    assert list(squeezer.squeezed(bodies)) == bodies
    squeezer.learn(bodies)
    for some in (bodies, bodies[:3], [b"[]", *bodies, _body(10**9)]):
        assert [squeezer.body(short) for short in squeezer.squeezed(some)] == some
    assert [squeezer.body(body) for body in bodies] == bodies


def test_what_bodies_have_in_common_takes_no_room() -> None:
    squeezer = Squeezer()
    squeezer.learn(ALIKE)
    assert sum(map(len, squeezer.squeezed(ALIKE))) < sum(map(len, ALIKE)) / 3


def test_no_json_begins_like_a_short_form() -> None:
    assert FRAME_HEADER[0] not in b'{["-0123456789tfn \t\r\n'
