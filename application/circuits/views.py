"""What a reader gets of circuits (circuits.md 6)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from application.events.views import EventView
from application.items.views import ItemView
from domain.access.decide import page_state
from domain.access.permissions import ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.vocabulary import (
    CircuitStatus,
    JoinRequestStatus,
    OperationStatus,
    OperationType,
    PageState,
    PublicAccessMode,
)
from domain.accounts.values import Account, Workspace
from domain.circuits.extras import taken
from domain.circuits.facts import circuit_fact, role_name
from domain.circuits.values import (
    AliasConfig,
    Circuit,
    CustomRole,
    JoinRequest,
    Membership,
    Operation,
    OperationOrigin,
    Placement,
)
from domain.document import Document
from domain.identifiers.personal import IdentifierKeys
from domain.items.submission import IdentifierInput
from domain.ports.queries import Page
from domain.ports.schema import ACCOUNTS, WORKSPACES
from domain.ports.storage import Reader


@attrs.frozen
class PublicSettingsView:
    """The settings of a page; a password never leaves the engine."""

    access_mode: PublicAccessMode
    scheduled_date: datetime | None
    has_password: bool
    public_name: str | None
    public_description: str
    primary_color: str | None
    secondary_color: str | None
    logo_url: str | None
    tagline: str
    footer_text: str
    public_data_keys: tuple[str, ...] | None
    auto_approve_members: bool
    auto_approve_role: str
    auto_publish_pushed_items: bool
    page_state: PageState


@attrs.frozen
class PublicSettingsAnswer:
    """The settings of a page with the version of the circuit they belong to."""

    settings: PublicSettingsView
    version: int


@attrs.frozen
class MyMembership:
    """The caller in a circuit."""

    role: str
    base_role: BaseRole
    custom_role: str | None
    permissions: tuple[Permission, ...]
    joined_at: datetime


@attrs.frozen
class PostActions:
    enabled: bool


@attrs.frozen
class CircuitView:
    """A circuit as its members see it."""

    circuit_id: str
    name: str
    description: str
    owner_id: str
    status: CircuitStatus
    default_namespace: str
    alias_config: AliasConfig
    require_approval_for_push: bool
    require_approval_for_pull: bool
    allow_public_visibility: bool
    allow_resharing: bool
    public_since: datetime | None
    public_settings: PublicSettingsView
    post_actions: PostActions
    my: MyMembership
    version: int
    created_at: datetime
    updated_at: datetime


@attrs.frozen
class WorkspaceName:
    workspace_id: str
    name: str


@attrs.frozen
class MemberView:
    """A member with the names that go with the ids."""

    user_id: str
    username: str
    display_name: str
    workspace: WorkspaceName | None
    role: str
    base_role: BaseRole
    custom_role: str | None
    permissions: tuple[Permission, ...]
    joined_at: datetime
    joined_via: str
    added_by: str | None
    version: int


@attrs.frozen
class RoleView:
    """A role of a circuit; base roles are `fixed` and never change."""

    name: str
    role_id: str | None
    display_name: str
    description: str
    color: str | None
    permissions: tuple[Permission, ...]
    fixed: bool
    member_count: int
    created_by: str | None
    created_at: datetime | None
    updated_at: datetime | None
    version: int


@attrs.frozen
class JoinRequestView:
    """A request to join. `decided_by` is shown to those who may decide."""

    request_id: str
    circuit_id: str
    requester_id: str
    message: str | None
    status: JoinRequestStatus
    role: str | None
    requested_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    version: int


@attrs.frozen
class JoinWaiting:
    """What is told of a request that waits for approval."""

    requires_approval: bool
    request: JoinRequestView


@attrs.frozen
class JoinAnswer:
    """What became of asking to join; it holds nothing of the circuit beyond its id."""

    requires_approval: bool
    request: JoinRequestView
    membership: MyMembership | None = None


@attrs.frozen
class PlacementView:
    """An item standing in a circuit."""

    placement_id: str
    circuit_id: str
    dfid: str
    placed_by: str
    placed_at: datetime
    resharable: bool
    published: bool
    published_at: datetime | None


@attrs.frozen
class PlacementWithItem(PlacementView):
    """A placement with its item where the reader may view it, else why not."""

    item: ItemView | None
    reason: str | None


@attrs.frozen
class PlacementElsewhere(PlacementView):
    """Where an item stands."""

    circuit_name: str
    circuit_status: CircuitStatus


@attrs.frozen
class OperationView:
    """An operation. What the requester named and staged is shown to their workspace only."""

    operation_id: str
    circuit_id: str
    operation_type: OperationType
    origin: OperationOrigin
    status: OperationStatus
    requester_id: str
    requester_workspace_id: str
    batch_id: str | None
    dfid: str | None
    local_id: str | None
    identifiers: tuple[IdentifierInput, ...] | None
    data: Document | None
    member_since: datetime
    placement_id: str | None
    outcome: str | None
    item_outcome: str | None
    approved: bool
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    requested_at: datetime
    version: int


@attrs.frozen
class PendingOperationView(OperationView):
    """A waiting operation with what an approver may see of it beforehand."""

    preview: ItemView | None


@attrs.frozen
class PushResult:
    """What became of a push."""

    outcome: str
    item_outcome: str | None
    dfid: str | None
    local_id: str | None
    placement: PlacementView | None
    operation: OperationView | None
    warnings: tuple[str, ...]


@attrs.frozen
class Push(PushResult):
    """A push result, and whether anything was written for it."""

    written: bool


@attrs.frozen
class ElementError:
    """Why an element was refused."""

    code: str
    detail: str
    errors: tuple[dict[str, Any], ...] = ()


@attrs.frozen
class PushElementResult:
    """What became of one element of a batch."""

    index: int
    outcome: str
    item_outcome: str | None
    dfid: str | None
    local_id: str | None
    operation_id: str | None
    pending_id: str | None
    error: ElementError | None


@attrs.frozen
class PushBatchResult:
    """`counts` are numbers of results by outcome: placed, already_placed, pending, refused."""

    batch_id: str
    counts: Mapping[str, int]
    results: tuple[PushElementResult, ...]


@attrs.frozen
class EventList:
    """The first events of an item that the reader may see."""

    items: tuple[EventView, ...]
    next_cursor: str | None


@attrs.frozen
class Pull:
    """A pull with the first page of the item's events by position; `item` and `events` are null while it waits."""

    operation: OperationView
    item: ItemView | None
    events: Page[EventView] | None


@attrs.frozen
class PullResult:
    """A pull as it is answered."""

    operation: OperationView
    item: ItemView | None
    events: EventList | None


@attrs.frozen
class PublicationResult:
    """What became of one element: `changed`, `unchanged` or `refused`."""

    dfid: str
    outcome: str
    error: ElementError | None


@attrs.frozen
class PublicationsResult:
    counts: Mapping[str, int]
    results: tuple[PublicationResult, ...]


@attrs.frozen
class DecisionResult:
    """What became of one operation of a bulk decision."""

    operation_id: str
    status: OperationStatus | None
    outcome: str | None
    dfid: str | None
    error: ElementError | None


@attrs.frozen
class DecisionsResult:
    counts: Mapping[str, int]
    results: tuple[DecisionResult, ...]


@attrs.frozen
class CircuitStats:
    """Numbers of a circuit; null where the reader may not list what is counted."""

    members: int | None
    items: int | None
    published_items: int | None
    pending_operations: int | None
    pending_requests: int | None
    as_of: datetime


def sorted_permissions(permissions: Iterable[Permission]) -> tuple[Permission, ...]:
    return tuple(sorted(permissions))


def settings_view(circuit: Circuit, now: datetime) -> PublicSettingsView:
    """Return the page settings of a circuit, with what the page is at `now`."""
    settings = circuit.public_settings
    shown = {
        field.name: getattr(settings, field.name)
        for field in attrs.fields(PublicSettingsView)
        if field.name not in ("has_password", "page_state")
    }
    state = page_state(circuit_fact(circuit), now)
    return PublicSettingsView(**shown, has_password=settings.password_hash is not None, page_state=state)


def my_membership(circuit: Circuit, member: Membership) -> MyMembership:
    """Return the caller's own standing."""
    role = role_name(circuit, member)
    return MyMembership(
        role=role,
        base_role=member.base_role,
        custom_role=None if member.custom_role_id is None else role,
        permissions=sorted_permissions(member.permissions),
        joined_at=member.joined_at,
    )


def circuit_view(circuit: Circuit, member: Membership, now: datetime) -> CircuitView:
    """Return a circuit as a member sees it at `now`."""
    same = {
        field.name: getattr(circuit, field.name)
        for field in attrs.fields(CircuitView)
        if field.name not in ("public_settings", "post_actions", "my")
    }
    return CircuitView(
        **same,
        public_settings=settings_view(circuit, now),
        post_actions=PostActions(circuit.post_actions_enabled),
        my=my_membership(circuit, member),
    )


async def member_views(reader: Reader, circuit: Circuit, members: Sequence[Membership]) -> list[MemberView]:
    """Return members with their names: two more statements for any number."""
    found = await reader.get_many(ACCOUNTS, sorted({member.user_id for member in members}))
    accounts = {account.user_id: account for account in found.values()}
    homes = await reader.get_many(WORKSPACES, sorted({account.workspace_id for account in accounts.values()}))
    workspaces = {workspace.workspace_id: workspace for workspace in homes.values()}
    return [_member_view(circuit, member, accounts.get(member.user_id), workspaces) for member in members]


def _member_view(
    circuit: Circuit, member: Membership, account: Account | None, workspaces: Mapping[str, Workspace]
) -> MemberView:
    my = my_membership(circuit, member)
    home = None if account is None else workspaces.get(account.workspace_id)
    return MemberView(
        user_id=member.user_id,
        username="" if account is None else account.username,
        display_name="" if account is None else account.display_name,
        workspace=None if home is None else WorkspaceName(home.workspace_id, home.name),
        role=my.role,
        base_role=my.base_role,
        custom_role=my.custom_role,
        permissions=my.permissions,
        joined_at=member.joined_at,
        joined_via=member.joined_via,
        added_by=member.added_by,
        version=member.version,
    )


def base_role_view(role: BaseRole, members: int) -> RoleView:
    """Return one of the four roles every circuit has."""
    return RoleView(
        name=role.value,
        role_id=None,
        display_name=role.value,
        description="",
        color=None,
        permissions=sorted_permissions(ROLE_PERMISSIONS[role]),
        fixed=True,
        member_count=members,
        created_by=None,
        created_at=None,
        updated_at=None,
        version=1,
    )


def custom_role_view(role: CustomRole, members: int) -> RoleView:
    """Return a role of one circuit."""
    same = {
        field.name: getattr(role, field.name)
        for field in attrs.fields(RoleView)
        if field.name not in ("permissions", "fixed", "member_count")
    }
    return RoleView(**same, permissions=sorted_permissions(role.permissions), fixed=False, member_count=members)


def request_view(request: JoinRequest, *, decider: bool) -> JoinRequestView:
    """Return a request to join, with who decided it where the reader may decide."""
    shown = {field.name: getattr(request, field.name) for field in attrs.fields(JoinRequestView)}
    return JoinRequestView(**shown | ({} if decider else {"decided_by": None}))


def placement_view(placement: Placement) -> PlacementView:
    return PlacementView(**{field.name: getattr(placement, field.name) for field in attrs.fields(PlacementView)})


def operation_view(operation: Operation, workspace_id: str | None, keys: IdentifierKeys) -> OperationView:
    """Return an operation as a workspace sees it."""
    own = workspace_id is not None and operation.requester_workspace_id == workspace_id
    same = {field.name: getattr(operation, field.name) for field in attrs.fields(OperationView)}
    staged = own and operation.identifiers is not None
    same["identifiers"] = taken(operation, keys).identifiers if staged else None
    if not own:
        same |= {"local_id": None, "data": None}
    return OperationView(**same)


def members_of(view: Any) -> dict[str, Any]:
    """Return the members of a view, to be shown with others beside them."""
    return attrs.asdict(view, recurse=False)
