"""Items, identifiers, contributions and what belongs to them (items-events.md 1)."""

from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from domain.access.vocabulary import ItemStatus, TransferStatus
from domain.document import EMPTY, Document
from domain.identifiers import IdentifierKind, IdentifierScope

LABEL_AFTER = 100
"""A value attached more often in its workspace is a label: it selects no candidates (items-events.md 3.5)."""
_DRAFTS = "/drafts"


class ContributionSource(StrEnum):
    CREATE = "create"
    BATCH = "batch"
    IMPORT = "import"
    ENRICH = "enrich"
    UPDATE = "update"
    PUSH_LOCAL = "push_local"
    PROMOTE = "promote"
    MERGE = "merge"
    SPLIT = "split"
    PENDING = "pending"
    ADMIN = "admin"


class MergeStrategy(StrEnum):
    KEEP_FIRST = "keep_first"
    APPEND = "append"
    OVERWRITE = "overwrite"


class Outcome(StrEnum):
    CREATED = "created"
    ENRICHED = "enriched"
    UNCHANGED = "unchanged"
    PENDING = "pending"
    REFUSED = "refused"


class PendingReason(StrEnum):
    NO_IDENTIFIERS = "no_identifiers"
    INVALID_IDENTIFIERS = "invalid_identifiers"
    DATA_QUALITY = "data_quality"
    CONFLICTING_ITEMS = "conflicting_items"
    AMBIGUOUS_MATCH = "ambiguous_match"
    CONTRADICTION = "contradiction"
    ITEM_NOT_ACTIVE = "item_not_active"
    CLAIM_CONFLICT = "claim_conflict"


class PendingStatus(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    REJECTED = "rejected"


@attrs.frozen
class Way:
    """How an identifier came to an item: through a circuit, or None by the owner, and by which workspace."""

    circuit_id: str | None
    workspace_id: str


@attrs.frozen
class Identifier:
    """One identifier on an item. For personal types `value` and `normalised` are sealed at rest and
    `lookup` is their keyed hash; for all others `lookup` equals `normalised` (identifiers.md 6).

    `namespace` is None only on drafts. `workspace_id` and `circuit_id` are those of the contribution
    that brought it (`added_by`); `also` are the other ways by which the same came, for readers who see
    those.
    """

    namespace: str | None
    key: str
    value: str
    normalised: str | None
    lookup: str | None
    display: str
    kind: IdentifierKind
    scope: IdentifierScope
    evidence: str
    workspace_id: str
    added_by: str
    circuit_id: str | None = None
    evidence_source: str | None = None
    evidence_at: datetime | None = None
    also: tuple[Way, ...] = ()

    @property
    def ways(self) -> tuple[Way, ...]:
        """All ways by which it came."""
        return (Way(self.circuit_id, self.workspace_id), *self.also)

    @property
    def identity(self) -> tuple[str, str, str]:
        """What makes two identifiers the same within one workspace: (namespace, key, lookup), canonical ones
        with an empty namespace (items-events.md 1.3)."""
        place = "" if self.kind is IdentifierKind.CANONICAL else self.namespace or "generic"
        return (place, self.key, self.lookup if self.lookup is not None else self.value)

    @property
    def order(self) -> tuple[str, str, str]:
        return (self.namespace or "", self.key, self.lookup or self.value)


@attrs.frozen
class Alias:
    scheme: str
    value: str
    workspace_id: str
    added_at: datetime


@attrs.frozen
class Lineage:
    merged_into: str | None = None
    merged_from: tuple[str, ...] = ()
    split_from: str | None = None
    split_into: tuple[str, ...] = ()
    split_mode: str | None = None


NO_LINEAGE = Lineage()


@attrs.frozen
class DraftContent:
    """What a draft holds by itself while it absorbs others. `decided` are the values that merging chose, by LID."""

    identifiers: tuple[Identifier, ...]
    data: Document
    aliases: tuple[Alias, ...]
    decided: tuple[tuple[str, Document], ...] = ()


@attrs.frozen
class Item:
    """A registered item or a local draft.

    `data` is the fold of the contributions made without a circuit; `contributed` names the circuits through
    which others contributed, whose readers get a fold of their own (items-events.md 4.5). `held_by` is the
    waiting operation that holds a draft. `own` is set on drafts that absorbed others, whose content the row
    shows united. `created_in` is the workspace of the creator, None while that is the owner.
    """

    dfid: str | None
    local_id: str | None
    workspace_id: str
    created_by: str | None
    status: ItemStatus
    identifiers: tuple[Identifier, ...]
    data: Document
    created_at: datetime
    updated_at: datetime
    aliases: tuple[Alias, ...] = ()
    fingerprint: str | None = None
    confidence: float = 0.1
    lineage: Lineage = NO_LINEAGE
    contributed: tuple[str, ...] = ()
    held_by: str | None = None
    own: DraftContent | None = None
    created_in: str | None = None
    version: int = 1

    @property
    def key(self) -> str:
        """The DFID, or the LID while a draft."""
        key = self.dfid or self.local_id
        assert key is not None
        return key

    @property
    def draft_place(self) -> str | None:
        """Where drafts of equal fingerprint meet; None for everything else."""
        if self.status is not ItemStatus.LOCAL or self.fingerprint is None:
            return None
        return f"{drafts_of(self.workspace_id)} fingerprint {self.fingerprint}"


@attrs.frozen
class Contribution:
    """What one submission added to an item; append-only (items-events.md 1.4)."""

    contribution_id: str
    item: str
    user_id: str | None
    workspace_id: str
    source: ContributionSource
    recorded_at: datetime
    salt: str | None
    hash: str
    circuit_id: str | None = None
    merged_from: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    removed_identifiers: tuple[Identifier, ...] = ()
    data: Document = EMPTY


@attrs.frozen
class Claim:
    """A unique identifier held by an item. `space` is `*` for global claims, else a workspace id."""

    space: str
    key: str
    lookup: str
    item: str
    workspace_id: str


@attrs.frozen
class IdentifierEntry:
    """Finds items by identifier. `place` names (workspace, namespace, key, value) for contextual identifiers
    of scope workspace, (workspace, key, value) for canonical references of the owner's, and is None for all
    others; of a draft it names (drafts of the workspace, key, value) for canonical ones that are no references.
    `workspace_id`, `circuit_id` and `also` are those of the identifier."""

    item: str
    workspace_id: str
    namespace: str
    key: str
    lookup: str
    place: str | None
    circuit_id: str | None = None
    personal: bool = False
    also: tuple[Way, ...] = ()

    @property
    def ways(self) -> tuple[Way, ...]:
        """All ways by which the identifier came."""
        return (Way(self.circuit_id, self.workspace_id), *self.also)


@attrs.frozen
class ValueCounter:
    """How often a value was attached in its workspace; only grows (items-events.md 3.5, decision 8).

    Of a value of drafts it is how many carry it now, and there is no row where none does (decision 21).
    """

    place: str
    count: int
    version: int = 1

    @property
    def of_drafts(self) -> bool:
        return self._where.endswith(_DRAFTS)

    @property
    def shared_in(self) -> str | None:
        """The workspace in which more than one item may carry the value, None for a label of items; or `drafts_of`
        the workspace in which more than one draft carries it."""
        return self._where if self.count >= 2 and (self.count <= LABEL_AFTER or self.of_drafts) else None

    @property
    def _where(self) -> str:
        return self.place.partition(" ")[0]


def drafts_of(workspace_id: str) -> str:
    """Return the name under which the values of a workspace's drafts are counted."""
    return f"{workspace_id}{_DRAFTS}"


@attrs.frozen
class Mapping:
    """LID to DFID, set once."""

    local_id: str
    dfid: str
    workspace_id: str


@attrs.frozen
class Share:
    share_id: str
    dfid: str
    shared_by: str
    workspace_id: str
    recipient_user_id: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    version: int = 1


@attrs.frozen
class Transfer:
    """An offer of an item to another workspace, and what became of it (items-events.md 6.11a)."""

    transfer_id: str
    dfid: str
    from_workspace_id: str
    to_workspace_id: str
    offered_by: str
    created_at: datetime
    expires_at: datetime
    reason: str | None = None
    status: TransferStatus = TransferStatus.OPEN
    decided_by: str | None = None
    decided_at: datetime | None = None
    version: int = 1

    def status_at(self, now: datetime) -> TransferStatus:
        """Return what the offer is at an instant: an open one expires by itself."""
        over = self.status is TransferStatus.OPEN and self.expires_at <= now
        return TransferStatus.EXPIRED if over else self.status


@attrs.frozen
class PendingSubmission:
    """A submission that waits for a person (items-events.md 8). `digest` is the keyed digest that makes a
    repeated submission find its open record."""

    pending_id: str
    workspace_id: str
    submitted_by: str
    origin: str
    submission: Document
    reason: PendingReason
    details: Document
    digest: str
    priority: int
    manual_review_required: bool
    created_at: datetime
    updated_at: datetime
    suggested_actions: tuple[tuple[str, float], ...] = ()
    status: PendingStatus = PendingStatus.OPEN
    retry_count: int = 0
    resolution: Document | None = None
    import_id: str | None = None
    row: int | None = None
    local_id: str | None = None
    circuit_id: str | None = None
    version: int = 1


LONGEST_SILENCE = timedelta(minutes=15)
"""Between two units of a running import; a body that stands still for 20 seconds is cut off (http.md)."""


@attrs.frozen
class Import:
    import_id: str
    workspace_id: str
    created_by: str
    format: str
    target: str
    dry_run: bool
    on_problem: str
    status: str
    started_at: datetime
    rows_read: int = 0
    counts: Document = EMPTY
    sha256: str | None = None
    failure: Document | None = None
    finished_at: datetime | None = None
    forgotten: bool = False
    """Whether the results of its rows are past their time and gone."""
    touched_at: datetime | None = None
    """When the last unit of it was committed."""
    version: int = 1

    def status_at(self, now: datetime) -> str:
        """Return the status: who said nothing for so long was cut off by a crash."""
        silent = self.status == "running" and now - (self.touched_at or self.started_at) > LONGEST_SILENCE
        return "interrupted" if silent else self.status


def reported_at(value: Import) -> datetime | None:
    """Return since when the results of the rows are kept, None when they are no more."""
    return None if value.forgotten else value.finished_at or value.started_at


@attrs.frozen
class ImportRow:
    import_id: str
    row: int
    line: int
    outcome: Outcome
    dfid: str | None = None
    local_id: str | None = None
    pending_id: str | None = None
    errors: tuple[Document, ...] = ()
    warnings: tuple[str, ...] = ()
