"""Stored bodies: one JSON document per row, written and read by msgspec straight from the attrs classes."""

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import msgspec

from domain.document import Document
from domain.ports.errors import Corrupt
from domain.ports.schema import FACETS

V = TypeVar("V")

REMEMBERED = 256
"""Rows read by key or in pages whose values a process remembers, by their bytes."""


def _restore(kind: type, value: Any) -> Any:
    if kind is Document:
        return Document(value)
    raise NotImplementedError(f"no codec for {kind}")


_encoder = msgspec.json.Encoder()
_NAMES = {facet.value: facet.name for facet in FACETS}


@cache
def _decoder(kind: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind, dec_hook=_restore)


def encode(value: Any) -> str:
    """Return the stored form of a row."""
    return _encoder.encode(value).decode()


def encode_all(values: Sequence[Any]) -> list[str]:
    """Return the stored forms of rows. No JSON has a line end in it."""
    return _encoder.encode_lines(values).decode().split("\n")[:-1]


def decode(kind: type[V], body: bytes) -> V:
    """Return the value of a stored row. Raises Corrupt."""
    value: V = _decoded(kind, body)
    return value


def decode_again(kind: type[V], body: bytes) -> V:
    """Return the value of a row that is read by key or in a page, perhaps over and over. Raises Corrupt.

    While its bytes are the same it is the very same value, so that what was made of it can be found again by it.
    """
    value: V = _remembered(kind, body)
    return value


def _decoded(kind: Any, body: bytes) -> Any:
    try:
        return _decoder(kind).decode(body)
    except msgspec.MsgspecError as error:
        raise Corrupt(_NAMES.get(kind, kind.__name__)) from error


_remembered: Callable[[Any, bytes], Any] = lru_cache(REMEMBERED)(_decoded)
