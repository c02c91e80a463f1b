"""Requests of the items service (items-events.md 6 and 9)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import attrs

from domain.access.vocabulary import ItemStatus
from domain.document import EMPTY, Document
from domain.identifiers import Evidence, IdentifierKind
from domain.items.submission import MAX_ALIASES, MAX_IDENTIFIERS, AliasInput, IdentifierInput, Submission
from domain.shape import Count, Faulty, Id, Raw, Text

Reason = Annotated[str, Text(0, 500)]
Identifiers = Annotated[tuple[IdentifierInput, ...], Count(0, MAX_IDENTIFIERS)]
Aliases = Annotated[tuple[AliasInput, ...], Count(0, MAX_ALIASES)]


class OnProblem(StrEnum):
    """What becomes of a submission whose identifiers or data are faulty: refused, or queued for review."""

    REFUSE = "refuse"
    QUEUE = "queue"


@attrs.frozen
class CreateBatch:
    """1 to 10,000 submissions in one unit; with `atomic` all or none."""

    items: Annotated[tuple[Submission | Faulty, ...], Count(1, 10_000)]
    atomic: bool = False
    on_problem: OnProblem = OnProblem.REFUSE


@attrs.frozen
class IdentifierReference:
    """Names an identifier of an item: by key and value, contextual ones by namespace too."""

    key: Annotated[str, Raw(1, 64)]
    value: Annotated[str, Raw(1, 256)]
    namespace: Annotated[str, Raw(1, 64)] | None = None


@attrs.frozen
class UpdateItem:
    """A patch: data by top-level key (null withdraws), identifiers and aliases added and removed (6.4)."""

    data: Document = EMPTY
    add_identifiers: Identifiers = ()
    remove_identifiers: Annotated[tuple[IdentifierReference, ...], Count(0, MAX_IDENTIFIERS)] = ()
    add_aliases: Aliases = ()
    remove_aliases: Aliases = ()
    reason: Reason | None = None
    force: bool = False


@attrs.frozen
class EnrichItem:
    """What to add; `circuit_id` names the circuit through which somebody else's item is enriched (6.5)."""

    identifiers: Identifiers = ()
    data: Document = EMPTY
    aliases: Aliases = ()
    circuit_id: Id | None = None

    @property
    def submission(self) -> Submission:
        return Submission(self.identifiers, self.data, self.aliases)


@attrs.frozen
class CreateDraft:
    """A local draft; `local_id` may be minted by the client for capture without a connection (6.6)."""

    local_id: Id | None = None
    identifiers: Identifiers = ()
    data: Document = EMPTY
    aliases: Aliases = ()

    @property
    def submission(self) -> Submission:
        return Submission(self.identifiers, self.data, self.aliases)


@attrs.frozen
class UpdateDraft:
    """Each field given replaces that field whole (6.6)."""

    identifiers: Identifiers | None = None
    data: Document | None = None
    aliases: Aliases | None = None


@attrs.frozen
class StatusChange:
    """Why an item goes out of use or comes back (6.11)."""

    reason: Reason | None = None


class ItemAccess(StrEnum):
    OWN = "own"
    SHARED = "shared"
    CIRCUIT = "circuit"
    ALL = "all"


class ItemSort(StrEnum):
    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"


class Direction(StrEnum):
    ASC = "asc"
    DESC = "desc"


@attrs.frozen
class SoughtIdentifier:
    key: Annotated[str, Raw(1, 64)]
    value: Annotated[str, Raw(1, 256)]
    namespace: Annotated[str, Raw(1, 64)] | None = None


class StatusFilter(StrEnum):
    """A status to list, or all of them."""

    LOCAL = "local"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    MERGED = "merged"
    SPLIT = "split"
    ALL = "all"


LISTED = (StatusFilter.ACTIVE, StatusFilter.DEPRECATED, StatusFilter.SPLIT)
"""What lists show unless asked otherwise; absorbed items and drafts would double them."""


@attrs.frozen
class ItemFilter:
    """Which items to list (9.1)."""

    access: ItemAccess = ItemAccess.OWN
    status: tuple[StatusFilter, ...] = LISTED
    namespace: Annotated[str, Raw(1, 64)] | None = None
    kind: IdentifierKind | None = None
    evidence_min: Evidence | None = None
    identifier_key: Annotated[str, Raw(1, 64)] | None = None
    identifier_value: Annotated[str, Raw(1, 256)] | None = None
    circuit_id: Id | None = None
    alias: Annotated[str, Raw(3, 330)] | None = None
    q: Annotated[str, Raw(2, 100)] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    updated_from: datetime | None = None
    updated_to: datetime | None = None
    sort: ItemSort = ItemSort.CREATED_AT
    order: Direction = Direction.DESC

    @property
    def statuses(self) -> tuple[str, ...]:
        """The statuses to list; `all` stands for each of them."""
        if StatusFilter.ALL in self.status:
            return tuple(status.value for status in ItemStatus)
        return tuple(status.value for status in self.status)


@attrs.frozen
class ItemSearch(ItemFilter):
    """A filter with identifiers of which any must be carried; the only way to look up a personal type."""

    identifiers: Annotated[tuple[SoughtIdentifier, ...], Count(0, 100)] = ()
