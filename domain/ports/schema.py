"""Every facet of the store: what it holds, its key, what is unique in it, and by what it is found.

One declaration serves all adapters: the memory store builds its indexes from it, the PostgreSQL adapter its
statements, the cache its keys. A column is a scalar computed from the value; only columns can be queried.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

import attrs

from domain.access.permissions import Permission
from domain.accounts.rules import dies_at, invitee, open_until, over_at, place_of, standing
from domain.accounts.values import (
    Account,
    AdminRoster,
    Invitation,
    PasswordReset,
    RefreshToken,
    Session,
    Workspace,
)
from domain.activity.values import Activity
from domain.audit.incidents import Incident, RuleWindow
from domain.audit.incidents import standing as standing_incident
from domain.audit.log import AuditDay, Checkpoint, LogTile, checkpoint_id, tile_id
from domain.audit.reports import Report, ReportChunk, content_until, unfinished
from domain.audit.values import AuditEntry
from domain.circuits.directory import is_scheduled, listed, page_words
from domain.circuits.values import Circuit, FingerprintEntry, JoinRequest, Membership, Operation, Placement
from domain.events.values import ChainHead, Event
from domain.idempotency import IdempotencyRecord
from domain.items.profile import profile
from domain.items.search import stored_tokens
from domain.items.storage_records import StorageRecord
from domain.items.values import (
    Claim,
    Contribution,
    IdentifierEntry,
    Import,
    ImportRow,
    Item,
    PendingSubmission,
    Share,
    Transfer,
    ValueCounter,
    reported_at,
)
from domain.items.values import (
    Mapping as LidMapping,
)
from domain.keys.rules import warns_at, works_until
from domain.keys.values import ApiKey, KeyUsage, KeyUse
from domain.notifications.values import Notification
from domain.outbox.values import OutboxRow, ready_at
from domain.statistics import Instance, StatisticsRecord
from domain.store import StoreRecord
from domain.webhooks.values import Delivery, Webhook, cause, due_at

V = TypeVar("V")
Key = str | tuple[str, ...]
Column = Callable[[Any], Any]


@attrs.frozen
class Facet(Generic[V]):
    """One consistency boundary of the store.

    `key` names one or more columns. `versioned` values carry `version`, saved by compare-and-set. `unique`
    lists further unique column tuples (rows with a None among them are not counted). `indexes` lists the
    column tuples that queries walk, equality columns first, order columns last. `serial` names the member
    that the store numbers at commit, per value of the given column, without gaps in visibility.
    """

    name: str
    value: type[V]
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    versioned: bool = True
    unique: tuple[tuple[str, ...], ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()
    serial: tuple[str, str] | None = None
    tokens: Callable[[Any], tuple[str, ...]] | None = None
    key_of: Callable[[V], Key] = attrs.field(init=False, eq=False, repr=False)
    """Returns the key of a value: a text, or a tuple of texts for composite keys."""

    @key_of.default
    def _key_getter(self) -> Callable[[V], Key]:
        columns = tuple(self.columns[name] for name in self.key)
        if all(isinstance(column, attrgetter) for column in columns):
            return attrgetter(*self.key)
        return columns[0] if len(columns) == 1 else lambda value: tuple([column(value) for column in columns])

    def row(self, value: V) -> dict[str, Any]:
        """Return the columns of a value."""
        return {name: column(value) for name, column in self.columns.items()}


def _members(*names: str, **computed: Column) -> dict[str, Column]:
    return {name: attrgetter(name) for name in names} | computed


def operation_slot(value: Operation) -> str | None:
    """Return what there is one of: a waiting push per draft, or per item and requester, and a waiting and a
    completed pull per placement, requester and membership (circuits.md 7, invariant 13)."""
    waits = value.status == "pending"
    if value.operation_type == "push":
        subject = value.local_id if value.dfid is None else f"{value.circuit_id} {value.dfid} {value.requester_id}"
        return f"push {subject}" if waits else None
    if waits or value.status == "completed":
        return f"{value.status} {value.placement_id} {value.requester_id} {value.member_since.isoformat()}"
    return None


def _resource(name: str) -> Column:
    return lambda value: value.resource.get(name)


ITEMS = Facet(
    "items",
    Item,
    ("key",),
    _members(
        "key",
        "local_id",
        "workspace_id",
        "status",
        "created_at",
        "updated_at",
        "fingerprint",
        "draft_place",
        profile=profile,
    ),
    unique=(("local_id",),),
    indexes=(
        ("workspace_id", "status", "created_at", "key"),
        ("workspace_id", "created_at", "key"),
        ("workspace_id", "updated_at", "key"),
        ("workspace_id", "profile"),
        ("draft_place", "key"),
        ("created_at", "key"),
        ("updated_at", "key"),
    ),
    tokens=stored_tokens,
)
CONTRIBUTIONS = Facet(
    "contributions",
    Contribution,
    ("contribution_id",),
    _members("contribution_id", "item", "user_id", "recorded_at"),
    versioned=False,
    indexes=(("item", "recorded_at", "contribution_id"), ("user_id", "recorded_at", "contribution_id")),
)
CLAIMS = Facet(
    "claims",
    Claim,
    ("space", "key", "lookup"),
    _members("space", "key", "lookup", "item"),
    versioned=False,
    indexes=(("item",),),
)
ENTRIES = Facet(
    "identifier_entries",
    IdentifierEntry,
    ("item", "namespace", "key", "lookup"),
    _members("item", "namespace", "key", "lookup", "place", "workspace_id", "circuit_id", "personal"),
    versioned=False,
    indexes=(("place", "item"), ("key", "lookup", "item")),
)
COUNTERS = Facet(
    "value_counters",
    ValueCounter,
    ("place",),
    _members("place", "shared_in"),
    indexes=(("shared_in", "place"),),
)
MAPPINGS = Facet(
    "mappings",
    LidMapping,
    ("local_id",),
    _members("local_id", "dfid"),
    versioned=False,
    indexes=(("dfid",),),
)
SHARES = Facet(
    "shares",
    Share,
    ("share_id",),
    _members(
        "share_id",
        "dfid",
        "shared_by",
        "recipient_user_id",
        "created_at",
        standing=lambda value: None if value.revoked_at else f"{value.dfid} {value.recipient_user_id}",
    ),
    unique=(("standing",),),
    indexes=(
        ("dfid", "created_at"),
        ("recipient_user_id", "created_at", "share_id"),
        ("shared_by", "created_at", "share_id"),
    ),
)
TRANSFERS = Facet(
    "transfers",
    Transfer,
    ("transfer_id",),
    _members(
        "transfer_id",
        "dfid",
        "from_workspace_id",
        "to_workspace_id",
        "status",
        "created_at",
        "expires_at",
        open_dfid=lambda value: value.dfid if value.status == "open" else None,
    ),
    unique=(("open_dfid",),),
    indexes=(
        ("from_workspace_id", "status", "created_at", "transfer_id"),
        ("from_workspace_id", "created_at", "transfer_id"),
        ("to_workspace_id", "status", "created_at", "transfer_id"),
        ("to_workspace_id", "created_at", "transfer_id"),
    ),
)
PENDING = Facet(
    "pending",
    PendingSubmission,
    ("pending_id",),
    _members(
        "pending_id",
        "workspace_id",
        "status",
        "reason",
        "priority",
        "origin",
        "local_id",
        "created_at",
        urgency=lambda value: -value.priority,
        open_digest=lambda value: (
            f"{value.workspace_id} {value.reason} {value.digest}" if value.status == "open" else None
        ),
        closed_at=lambda value: None if value.status == "open" else value.updated_at,
    ),
    unique=(("open_digest",),),
    indexes=(
        ("closed_at", "pending_id"),
        ("workspace_id", "status", "urgency", "created_at", "pending_id"),
        ("local_id", "status"),
        ("reason", "status", "created_at", "pending_id"),
    ),
)
IMPORTS = Facet(
    "imports",
    Import,
    ("import_id",),
    _members("import_id", "workspace_id", "started_at", reported_at=reported_at),
    indexes=(("workspace_id", "started_at", "import_id"), ("reported_at", "import_id")),
)
IMPORT_ROWS = Facet(
    "import_rows",
    ImportRow,
    ("import_id", "row_key"),
    _members("import_id", "outcome", "row", row_key=lambda value: f"{value.row:08d}"),
    versioned=False,
    indexes=(("import_id", "row"),),
)
EVENTS = Facet(
    "events",
    Event,
    ("event_id",),
    _members(
        "event_id",
        "dfid",
        "position",
        "event_type",
        "category",
        "visibility",
        "circuit_id",
        "recipient_user_id",
        "author_user_id",
        "author_workspace_id",
        "recorded_at",
        "occurred_at",
        "corrects",
    ),
    versioned=False,
    unique=(("dfid", "position"),),
    indexes=(
        ("dfid", "position"),
        ("recorded_at", "event_id"),
        ("occurred_at", "event_id"),
        ("author_workspace_id", "recorded_at", "event_id"),
        ("author_workspace_id", "occurred_at", "event_id"),
        ("author_workspace_id", "event_type", "recorded_at", "event_id"),
        ("category", "author_workspace_id", "recorded_at", "event_id"),
        ("circuit_id", "recorded_at", "event_id"),
        ("recipient_user_id", "recorded_at", "event_id"),
    ),
)
CHAINS = Facet("chains", ChainHead, ("dfid",), _members("dfid"))
STORAGE_RECORDS = Facet(
    "storage_records",
    StorageRecord,
    ("record_id",),
    _members("record_id", "dfid", "store_id", "action", "run_id", "recorded_at", "copied_in"),
    versioned=False,
    unique=(("copied_in",),),
    indexes=(("dfid", "recorded_at", "record_id"), ("action", "run_id"), ("action", "store_id")),
)
CIRCUITS = Facet(
    "circuits",
    Circuit,
    ("circuit_id",),
    _members(
        "circuit_id",
        "owner_id",
        "status",
        "created_at",
        "require_approval_for_pull",
        "public_since",
        listed=listed,
        opens_at=lambda value: value.public_settings.scheduled_date if is_scheduled(value) else None,
    ),
    indexes=(("owner_id", "status"), ("listed", "public_since", "circuit_id")),
    tokens=page_words,
)
MEMBERSHIPS = Facet(
    "memberships",
    Membership,
    ("circuit_id", "user_id"),
    _members(
        "circuit_id",
        "user_id",
        "status",
        "joined_at",
        role=lambda value: value.custom_role_id or value.base_role.value,
        can_pull=lambda value: Permission.PULL in value.permissions,
        can_approve=lambda value: Permission.APPROVE in value.permissions,
        can_manage_members=lambda value: Permission.MANAGE_MEMBERS in value.permissions,
    ),
    indexes=(
        ("circuit_id", "status", "joined_at", "user_id"),
        ("circuit_id", "status", "role", "joined_at", "user_id"),
        ("circuit_id", "status", "can_approve", "user_id"),
        ("circuit_id", "status", "can_manage_members", "user_id"),
        ("user_id", "status", "joined_at", "circuit_id"),
    ),
)
JOIN_REQUESTS = Facet(
    "join_requests",
    JoinRequest,
    ("request_id",),
    _members(
        "request_id",
        "circuit_id",
        "requester_id",
        "status",
        "requested_at",
        waiting=lambda value: f"{value.circuit_id} {value.requester_id}" if value.status == "pending" else None,
    ),
    unique=(("waiting",),),
    indexes=(("circuit_id", "status", "requested_at"), ("requester_id", "requested_at")),
)
OPERATIONS = Facet(
    "operations",
    Operation,
    ("operation_id",),
    _members(
        "operation_id",
        "circuit_id",
        "requester_id",
        "requester_workspace_id",
        "operation_type",
        "status",
        "dfid",
        "batch_id",
        "requested_at",
        "placement_id",
        "member_since",
        slot=operation_slot,
    ),
    unique=(("slot",),),
    indexes=(
        ("circuit_id", "status", "requested_at", "operation_id"),
        ("circuit_id", "dfid", "requester_id", "operation_type"),
        ("circuit_id", "requester_id", "status"),
        ("circuit_id", "requester_id", "requested_at", "operation_id"),
        ("circuit_id", "operation_type", "requested_at", "operation_id"),
        ("batch_id", "requested_at", "operation_id"),
        ("circuit_id", "requested_at", "operation_id"),
        ("circuit_id", "requester_workspace_id", "requested_at", "operation_id"),
        ("status", "requested_at", "operation_id"),
    ),
)
PLACEMENTS = Facet(
    "placements",
    Placement,
    ("circuit_id", "dfid"),
    _members(
        "circuit_id",
        "dfid",
        "placement_id",
        "placed_at",
        "placed_by",
        "published",
        "published_at",
        "item_workspace_id",
    ),
    indexes=(
        ("circuit_id", "placed_at", "placement_id"),
        ("dfid", "circuit_id"),
        ("circuit_id", "published", "published_at", "placement_id"),
        ("circuit_id", "item_workspace_id", "placed_at", "placement_id"),
        ("circuit_id", "placed_by", "placed_at", "placement_id"),
    ),
)
FINGERPRINTS = Facet(
    "fingerprints",
    FingerprintEntry,
    ("circuit_id", "fingerprint"),
    _members("circuit_id", "fingerprint", "dfid"),
    versioned=False,
    indexes=(("circuit_id", "dfid"),),
)
AUDIT = Facet(
    "audit",
    AuditEntry,
    ("entry_id",),
    _members(
        "entry_id",
        "at",
        "action",
        "circuit_id",
        "workspace_id",
        "trace_id",
        "log_index",
        resource_kind=_resource("kind"),
        resource_id=_resource("id"),
        actor_user_id=lambda value: value.actor.get("user_id"),
        actor_key_id=lambda value: value.actor.get("key_id"),
        action_group=lambda value: value.action.partition(".")[0],
        concern=lambda value: None if value.severity == "info" else value.severity,
        setback=lambda value: None if value.outcome == "success" else value.outcome,
        erasable_at=lambda value: None if value.personal is None else value.at,
    ),
    indexes=(
        ("erasable_at", "entry_id"),
        ("at", "entry_id"),
        ("log_index", "at", "entry_id"),
        ("circuit_id", "at", "entry_id"),
        ("workspace_id", "at", "entry_id"),
        ("resource_id", "at", "entry_id"),
        ("resource_kind", "at", "entry_id"),
        ("actor_user_id", "at", "entry_id"),
        ("actor_key_id", "at", "entry_id"),
        ("action", "at", "entry_id"),
        ("action_group", "at", "entry_id"),
        ("concern", "at", "entry_id"),
        ("setback", "at", "entry_id"),
        ("trace_id", "at", "entry_id"),
    ),
)
LOG_TILES = Facet(
    "log_tiles",
    LogTile,
    ("tile_id",),
    _members(tile_id=lambda value: tile_id(value.level, value.number)),
)
LOG_CHECKPOINTS = Facet(
    "log_checkpoints",
    Checkpoint,
    ("checkpoint_id",),
    _members(checkpoint_id=lambda value: checkpoint_id(value.tree_size)),
    versioned=False,
)
AUDIT_DAYS = Facet("audit_days", AuditDay, ("actor", "day"), _members("actor", "day"), indexes=(("day", "actor"),))
INCIDENTS = Facet(
    "incidents",
    Incident,
    ("incident_id",),
    _members(
        "incident_id",
        "rule",
        "status",
        "severity",
        "assignee",
        "created_at",
        subject=lambda value: f"{value.subject_kind} {value.subject_id}",
        standing=standing_incident,
    ),
    unique=(("standing",),),
    indexes=(
        ("created_at", "incident_id"),
        ("subject", "created_at", "incident_id"),
        ("status", "severity"),
    ),
)
RULE_WINDOWS = Facet(
    "rule_windows",
    RuleWindow,
    ("rule", "counted_by"),
    _members("rule", "until_at", counted_by=lambda value: value.group),
    indexes=(("until_at",),),
)
REPORTS = Facet(
    "reports",
    Report,
    ("report_id",),
    _members(
        "report_id",
        "requested_by",
        "subject_user_id",
        "created_at",
        unfinished=unfinished,
        content_until_at=content_until,
    ),
    unique=(("unfinished",),),
    indexes=(
        ("created_at", "report_id"),
        ("requested_by", "created_at", "report_id"),
        ("content_until_at", "report_id"),
        ("subject_user_id", "report_id"),
    ),
)
REPORT_CHUNKS = Facet(
    "report_chunks",
    ReportChunk,
    ("report_id", "place"),
    _members("report_id", place=lambda value: f"{value.number:08d}"),
    versioned=False,
)
ACTIVITY = Facet(
    "activity",
    Activity,
    ("activity_id",),
    _members("activity_id", "at", "circuit_id", "workspace_id", "actor_user_id", "kind"),
    versioned=False,
    indexes=(
        ("at", "activity_id"),
        ("circuit_id", "at", "activity_id"),
        ("circuit_id", "kind", "at", "activity_id"),
        ("circuit_id", "actor_user_id", "at", "activity_id"),
        ("workspace_id", "at", "activity_id"),
        ("actor_user_id", "at", "activity_id"),
    ),
    tokens=lambda value: value.dfids,
)
NOTIFICATIONS = Facet(
    "notifications",
    Notification,
    ("notification_id",),
    _members(
        "notification_id",
        "user_id",
        "type",
        "source_id",
        "circuit_id",
        "created_at",
        "position",
        unread=lambda value: value.read_at is None,
    ),
    unique=(("user_id", "type", "source_id"),),
    indexes=(
        ("user_id", "position"),
        ("user_id", "unread", "position"),
        ("user_id", "created_at", "notification_id"),
        ("unread", "created_at", "notification_id"),
    ),
    serial=("position", "user_id"),
)
OUTBOX = Facet(
    "outbox",
    OutboxRow,
    ("row_id",),
    _members("row_id", "kind", "status", "created_at", ready_at=ready_at),
    indexes=(("status", "kind", "created_at", "row_id"), ("ready_at", "row_id")),
)
WEBHOOKS = Facet(
    "webhooks",
    Webhook,
    ("webhook_id",),
    _members("webhook_id", "circuit_id", "created_at"),
    indexes=(("circuit_id", "created_at", "webhook_id"),),
)
DELIVERIES = Facet(
    "deliveries",
    Delivery,
    ("delivery_id",),
    _members(
        "delivery_id",
        "webhook_id",
        "circuit_id",
        "status",
        "trigger",
        "created_at",
        "ended_at",
        due_at=due_at,
        cause=cause,
    ),
    unique=(("cause",),),
    indexes=(
        ("due_at", "delivery_id"),
        ("webhook_id", "due_at", "delivery_id"),
        ("webhook_id", "status", "created_at", "delivery_id"),
        ("webhook_id", "created_at", "delivery_id"),
        ("circuit_id", "created_at", "delivery_id"),
        ("ended_at", "delivery_id"),
        ("status", "created_at", "delivery_id"),
    ),
)
WORKSPACES = Facet(
    "workspaces",
    Workspace,
    ("workspace_id",),
    _members("workspace_id", "folded_name", "created_at"),
    unique=(("folded_name",),),
    indexes=(("created_at", "workspace_id"),),
)
ACCOUNTS = Facet(
    "accounts",
    Account,
    ("user_id",),
    _members(
        "user_id",
        "workspace_id",
        "username",
        "is_admin",
        "created_at",
        "last_login_at",
        email_key=lambda value: value.email.lower() or None,
        place=place_of,
    ),
    unique=(("username",), ("email_key",)),
    indexes=(
        ("workspace_id", "created_at", "user_id"),
        ("created_at", "user_id"),
        ("place", "created_at", "user_id"),
        ("is_admin", "place"),
        ("last_login_at", "user_id"),
    ),
)
SESSIONS = Facet(
    "sessions",
    Session,
    ("session_id",),
    _members(
        "session_id", "user_id", "created_at", "last_used_at", standing=standing, dies_at=dies_at, over_at=over_at
    ),
    indexes=(
        ("user_id", "last_used_at", "session_id"),
        ("standing", "last_used_at", "session_id"),
        ("over_at", "session_id"),
    ),
)
REFRESH_TOKENS = Facet(
    "refresh_tokens",
    RefreshToken,
    ("token_hash",),
    _members("token_hash", "session_id", "used_at"),
    indexes=(("session_id",), ("used_at", "token_hash")),
)
INVITATIONS = Facet(
    "invitations",
    Invitation,
    ("invitation_id",),
    _members("invitation_id", "workspace_id", "token_hash", "created_at", open_until_at=open_until, invitee=invitee),
    unique=(("token_hash",),),
    indexes=(("workspace_id", "created_at", "invitation_id"), ("invitee", "invitation_id")),
)
PASSWORD_RESETS = Facet(
    "password_resets",
    PasswordReset,
    ("reset_id",),
    _members("reset_id", "user_id", "token_hash", "expires_at"),
    unique=(("token_hash",),),
    indexes=(("user_id",), ("expires_at", "reset_id")),
)
API_KEYS = Facet(
    "api_keys",
    ApiKey,
    ("key_id",),
    _members(
        "key_id",
        "workspace_id",
        "created_by",
        "secret_hash",
        "previous_hash",
        "created_at",
        works_until_at=works_until,
        warns_at=warns_at,
    ),
    unique=(("secret_hash",), ("previous_hash",)),
    indexes=(
        ("workspace_id", "created_at", "key_id"),
        ("created_by", "created_at", "key_id"),
        ("warns_at", "key_id"),
    ),
)
KEY_USAGE = Facet(
    "key_usage",
    KeyUsage,
    ("key_id", "day"),
    _members("key_id", "day"),
    indexes=(("day", "key_id"),),
)
KEY_USES = Facet("key_uses", KeyUse, ("key_id",), _members("key_id"))
ROSTER = Facet("admin_roster", AdminRoster, ("roster_id",), _members("roster_id"))
IDEMPOTENCY = Facet(
    "idempotency",
    IdempotencyRecord,
    ("key",),
    _members("key", "expires_at"),
    indexes=(("expires_at",),),
)
STATISTICS = Facet("statistics", StatisticsRecord, ("name",), _members("name"))
INSTANCES = Facet(
    "instances",
    Instance,
    ("instance_id",),
    _members("instance_id", "last_seen_at"),
    indexes=(("last_seen_at", "instance_id"),),
)
STORE = Facet("store", StoreRecord, ("store_key",), _members("store_key"))

FACETS: tuple[Facet[Any], ...] = (
    STORE,
    WORKSPACES,
    ACCOUNTS,
    ROSTER,
    INVITATIONS,
    PASSWORD_RESETS,
    SESSIONS,
    REFRESH_TOKENS,
    API_KEYS,
    KEY_USAGE,
    KEY_USES,
    IDEMPOTENCY,
    CIRCUITS,
    MEMBERSHIPS,
    JOIN_REQUESTS,
    ITEMS,
    MAPPINGS,
    CLAIMS,
    ENTRIES,
    COUNTERS,
    CONTRIBUTIONS,
    SHARES,
    TRANSFERS,
    PENDING,
    IMPORTS,
    IMPORT_ROWS,
    PLACEMENTS,
    FINGERPRINTS,
    OPERATIONS,
    CHAINS,
    EVENTS,
    STORAGE_RECORDS,
    ACTIVITY,
    AUDIT,
    LOG_TILES,
    LOG_CHECKPOINTS,
    AUDIT_DAYS,
    INCIDENTS,
    RULE_WINDOWS,
    REPORTS,
    REPORT_CHUNKS,
    NOTIFICATIONS,
    WEBHOOKS,
    DELIVERIES,
    OUTBOX,
    STATISTICS,
    INSTANCES,
)
"""The one fixed order in which a unit takes its rows, so that units never wait for each other in a circle."""

FACET_BY_NAME: Mapping[str, Facet[Any]] = {facet.name: facet for facet in FACETS}
