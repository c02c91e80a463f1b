"""Shapes of requests: what a member may look like, said once beside the attrs class that takes it.

The decoder and the OpenAPI document read the same annotations (http.md 6)::

    @attrs.frozen
    class Rename:
        name: Annotated[str, Line(1, 120)]
        note: Annotated[str, Text(0, 500)] | None | Unset = UNSET
        tags: Annotated[frozenset[str], Count(0, 20)] = frozenset()

A trailing underscore of an attribute is dropped on the wire (`from_` is `from`). A member without a default is
required. `Document` stands for a free object, `datetime` for an instant, `date` for a day.
"""

from enum import Enum
from typing import Annotated, Final, Literal

import attrs

from domain.errors import Fault


class Unset(Enum):
    """The value of a PATCH member that was not sent: it stays as it is, while `None` clears it."""

    UNSET = "unset"


UNSET: Final[Literal[Unset.UNSET]] = Unset.UNSET


@attrs.frozen
class Line:
    """One line of text, trimmed, NFC, without control characters; `low` to `high` code points after that."""

    low: int = 0
    high: int | None = None


@attrs.frozen
class Text:
    """As `Line`, but tab and line feed are allowed."""

    low: int = 0
    high: int | None = None


@attrs.frozen
class Raw:
    """Text kept as given, without U+0000; `low` to `high` code points."""

    low: int = 0
    high: int | None = None


@attrs.frozen
class Pattern:
    """The whole text matches `regex`, an expression that ECMA 262 reads alike; `fold` lower-cases it first."""

    regex: str
    hint: str = "The text does not have the expected form."
    fold: bool = False


@attrs.frozen
class Range:
    """A number from `low` to `high`, both included; None leaves that side to the bounds of JSON numbers."""

    low: float | None = None
    high: float | None = None


@attrs.frozen
class Count:
    """An array, set or mapping of `low` to `high` elements."""

    low: int = 0
    high: int | None = None


@attrs.frozen
class Uuid:
    """A UUID of any RFC 9562 version; upper case is accepted and folded."""


@attrs.frozen
class DfidText:
    """The text of a DFID. Its grammar is judged by the engine that looks it up."""


@attrs.frozen
class About:
    """Words about a member, for the document only."""

    words: str


Id = Annotated[str, Uuid()]
Dfid = Annotated[str, DfidText()]


@attrs.frozen
class Faulty:
    """An element of a bulk body that has no right shape, as `tuple[Element | Faulty, ...]` receives it.

    The pointers of `faults` start at the element.
    """

    faults: tuple[Fault, ...]
