"""What an identifier type is, and what checking a number yields (identifiers.md 1, 3, 9)."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import attrs

from domain.document import EMPTY, Document

MAX_LENGTH = 256
"""Longest text that is looked at, in characters, as given."""


class Evidence(StrEnum):
    """How much a number proves. Compared by rank, never by spelling."""

    MALFORMED = "malformed"
    CHECK_FAILED = "check_failed"
    FORMAT_OK = "format_ok"
    CHECK_OK = "check_ok"
    REGISTRY_OK = "registry_ok"

    @property
    def rank(self) -> int:
        """Place in the ascending order of the levels, 0 for malformed."""
        return _RANKS[self]

    def __lt__(self, other: str) -> bool:
        return self.rank < Evidence(other).rank

    def __le__(self, other: str) -> bool:
        return self.rank <= Evidence(other).rank

    def __gt__(self, other: str) -> bool:
        return self.rank > Evidence(other).rank

    def __ge__(self, other: str) -> bool:
        return self.rank >= Evidence(other).rank


_RANKS = {level: rank for rank, level in enumerate(Evidence)}


class Uniqueness(StrEnum):
    """What a number of the type names: one item, possibly something many items share, or a party."""

    ONE_ITEM = "one_item"
    SHARED = "shared"
    PARTY = "party"


class Privacy(StrEnum):
    """Who may see a number in clear (identifiers.md 6)."""

    NONE = "none"
    LINKABLE = "linkable"
    PERSONAL = "personal"


class IdentifierKind(StrEnum):
    """Whether a key names a registered type or is free."""

    CANONICAL = "canonical"
    CONTEXTUAL = "contextual"


class IdentifierScope(StrEnum):
    """Where a value alone points to its item: everywhere, in the owner's workspace, nowhere."""

    GLOBAL = "global"
    WORKSPACE = "workspace"
    REFERENCE = "reference"


@attrs.frozen
class Reason:
    """Why a number proves no more. `detail` never repeats what was given."""

    code: str
    detail: str


@attrs.frozen
class Check:
    """Result of a check; `normalised` and `display` are None exactly when malformed."""

    type: str | None
    evidence: Evidence
    normalised: str | None
    display: str | None
    reasons: tuple[Reason, ...] = ()
    attributes: Document = EMPTY


class Malformed(Exception):
    """Raised while cleaning: the text cannot be a number of the type."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.reason = Reason(code, detail)


@attrs.frozen
class Cleaned:
    """A canonical form, and the attributes that tell how it was spelled."""

    normalised: str
    spelling: Mapping[str, Any] = EMPTY


@attrs.frozen
class Verdict:
    """What the rules of a type say about one normalised value."""

    evidence: Evidence
    reasons: tuple[Reason, ...] = ()
    attributes: Mapping[str, Any] = EMPTY


def failed(code: str, detail: str, attributes: Mapping[str, Any] = EMPTY) -> Verdict:
    """Return the verdict on a number that has the right shape and was not issued like this."""
    return Verdict(Evidence.CHECK_FAILED, (Reason(code, detail),), attributes)


_SCOPES = {
    Uniqueness.ONE_ITEM: frozenset({IdentifierScope.GLOBAL, IdentifierScope.REFERENCE}),
    Uniqueness.SHARED: frozenset({IdentifierScope.GLOBAL, IdentifierScope.REFERENCE}),
    Uniqueness.PARTY: frozenset({IdentifierScope.REFERENCE}),
}


@attrs.frozen(eq=False)
class IdentifierType:
    """One canonical type. `check`, `display` and `mask` take what `clean` returns as normalised.

    `clean` raises `Malformed`; the others accept every value that matches `pattern`.
    """

    name: str
    subject: str
    uniqueness: Uniqueness
    pattern: str
    example: str
    levels: tuple[Evidence, ...]
    reason_codes: tuple[str, ...]
    library: str
    clean: Callable[[str], Cleaned]
    check: Callable[[str], Verdict]
    display: Callable[[str], str]
    mask: Callable[[str], str]
    aliases: tuple[str, ...] = ()
    single: bool = False
    privacy: Privacy = Privacy.NONE
    default_namespace: str = "generic"

    @property
    def allowed_scopes(self) -> frozenset[IdentifierScope]:
        """Scopes a submission may ask for (items-events.md 3.3)."""
        return _SCOPES[self.uniqueness]
