"""Requests of the circuits service (circuits.md 1 and 4)."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import attrs

from domain.access.permissions import Permission
from domain.access.vocabulary import CircuitStatus, ItemStatus, OperationStatus, OperationType, PublicAccessMode
from domain.circuits.values import AliasConfig, PublicSettings
from domain.document import EMPTY, Document
from domain.errors import Fault, Invalid
from domain.identifiers import canonical_key, canonical_namespace, key_is_valid, namespace_is_valid, type_of
from domain.items.submission import MAX_IDENTIFIERS, IdentifierInput, Submission
from domain.shape import UNSET, Count, Dfid, Faulty, Id, Line, Pattern, Raw, Text, Unset

Namespace = Annotated[str, Raw(1, 64)]
Reason = Annotated[str, Text(0, 500)]
Name = Annotated[str, Line(1, 120)]
Color = Annotated[str, Pattern(r"#[0-9A-Fa-f]{6}", "A colour is # and six hexadecimal digits.")]
RoleName = Annotated[str, Line(1, 40)]
NewRoleName = Annotated[
    str, Pattern(r"[a-z0-9][a-z0-9_-]{0,39}", "Role names are a-z, 0-9, _ and -, at most 40 characters.")
]
HttpsUrl = Annotated[str, Raw(1, 2048), Pattern(r"https://[^\s/?#]+[^\s]*", "An https address.")]


DEFAULT_CONFIG = AliasConfig(use_fingerprint=False)
"""Without agreed keys, equal lot numbers of two farms mean nothing (1.2)."""


class Evidence(StrEnum):
    """What a required canonical identifier must reach."""

    CHECK_FAILED = "check_failed"
    FORMAT_OK = "format_ok"
    CHECK_OK = "check_ok"
    REGISTRY_OK = "registry_ok"


class AutoRole(StrEnum):
    """The roles that auto-approval may give."""

    MEMBER = "member"
    VIEWER = "viewer"


@attrs.frozen
class AliasRequest:
    """What a tokenising push must bring (1.2)."""

    required_canonical: Annotated[tuple[Annotated[str, Raw(1, 64)], ...], Count(0, 20)] = ()
    required_contextual: Annotated[tuple[Annotated[str, Raw(1, 64)], ...], Count(0, 20)] = ()
    allowed_namespaces: Annotated[tuple[Namespace, ...], Count(1, 50)] | None = None
    use_fingerprint: bool = True
    auto_apply_namespace: bool = True
    minimum_evidence: Evidence = Evidence.CHECK_FAILED

    def config(self) -> AliasConfig:
        """Return the configuration in its stored form. Raises Invalid."""
        faults = list(self._faults())
        if faults:
            raise Invalid(fault.under("/alias_config") for fault in faults)
        allowed = self.allowed_namespaces
        return AliasConfig(
            required_canonical=tuple(dict.fromkeys(map(canonical_key, self.required_canonical))),
            required_contextual=tuple(dict.fromkeys(map(canonical_key, self.required_contextual))),
            allowed_namespaces=None if allowed is None else tuple(dict.fromkeys(map(canonical_namespace, allowed))),
            use_fingerprint=self.use_fingerprint,
            auto_apply_namespace=self.auto_apply_namespace,
            minimum_evidence=self.minimum_evidence.value,
        )

    def _faults(self) -> Iterator[Fault]:
        for index, key in enumerate(self.required_canonical):
            if type_of(key) is None:
                yield Fault("not_allowed", "No registered identifier type.", pointer=f"/required_canonical/{index}")
        for index, key in enumerate(self.required_contextual):
            if not key_is_valid(key) or type_of(key) is not None:
                yield Fault("identifier_key_invalid", "No contextual key.", pointer=f"/required_contextual/{index}")
        for index, namespace in enumerate(self.allowed_namespaces or ()):
            if not namespace_is_valid(namespace):
                yield Fault("namespace_invalid", "No namespace.", pointer=f"/allowed_namespaces/{index}")


def namespace_of(given: str) -> str:
    """Return a namespace in its stored form. Raises Invalid."""
    if not namespace_is_valid(given):
        raise Invalid([Fault("namespace_invalid", "No namespace.", pointer="/default_namespace")])
    return canonical_namespace(given)


def check_namespaces(config: AliasConfig, default: str) -> None:
    """Demand that the namespace filled in is one that is allowed. Raises Invalid `namespace_not_allowed`."""
    allowed = config.allowed_namespaces
    if config.auto_apply_namespace and allowed is not None and default not in allowed:
        detail = f"The default namespace {default} is not among the allowed ones."
        raise Invalid([Fault("namespace_not_allowed", detail, pointer="/alias_config/allowed_namespaces")])


@attrs.frozen
class PublicRequest:
    """Settings of the public page (1.3); what is left out stays."""

    access_mode: PublicAccessMode | Unset = UNSET
    scheduled_date: datetime | Unset | None = UNSET
    access_password: Annotated[str, Raw(8, 256)] | Unset | None = UNSET
    public_name: Name | Unset | None = UNSET
    public_description: Annotated[str, Text(0, 2000)] | Unset = UNSET
    primary_color: Color | Unset | None = UNSET
    secondary_color: Color | Unset | None = UNSET
    logo_url: HttpsUrl | Unset | None = UNSET
    tagline: Annotated[str, Line(0, 160)] | Unset = UNSET
    footer_text: Annotated[str, Text(0, 500)] | Unset = UNSET
    public_data_keys: Annotated[tuple[Annotated[str, Raw(1, 256)], ...], Count(0, 200)] | Unset | None = UNSET
    auto_approve_members: bool | Unset = UNSET
    auto_approve_role: AutoRole | Unset = UNSET
    auto_publish_pushed_items: bool | Unset = UNSET

    def changes(self, password_hash: str | None) -> dict[str, Any]:
        """Return the members of `PublicSettings` that change, the password by its hash."""
        found = {name: value for name, value in given(self).items() if name != "access_password"}
        if isinstance(found.get("auto_approve_role"), AutoRole):
            found["auto_approve_role"] = found["auto_approve_role"].value
        if self.access_password is not UNSET:
            found["password_hash"] = password_hash
        return found


def given(request: Any) -> dict[str, Any]:
    """Return the members that a request sets."""
    members = attrs.asdict(request, recurse=False)
    return {name: value for name, value in members.items() if value is not UNSET}


@attrs.frozen
class CreateCircuit:
    """A new circuit (4.1)."""

    name: Name
    description: Annotated[str, Text(0, 2000)] = ""
    default_namespace: Namespace = "generic"
    alias_config: AliasRequest | Unset = UNSET
    require_approval_for_push: bool = False
    require_approval_for_pull: bool = False
    allow_resharing: bool = False
    allow_public_visibility: bool = False
    public_settings: PublicRequest = attrs.field(factory=PublicRequest)

    def settings(self, password_hash: str | None) -> PublicSettings:
        """Return the page as it is stored."""
        settings = attrs.evolve(PublicSettings(), **self.public_settings.changes(password_hash))
        return settings if password_hash is None else attrs.evolve(settings, password_version=1)

    def config(self) -> AliasConfig:
        """Return the requirements; left out they are all defaults but the fingerprint (1.2). Raises Invalid."""
        return self.alias_config.config() if isinstance(self.alias_config, AliasRequest) else DEFAULT_CONFIG


@attrs.frozen
class UpdateCircuit:
    """Settings that change (4.2); what is left out stays."""

    name: Name | Unset = UNSET
    description: Annotated[str, Text(0, 2000)] | Unset = UNSET
    default_namespace: Namespace | Unset = UNSET
    alias_config: AliasRequest | Unset = UNSET
    require_approval_for_push: bool | Unset = UNSET
    require_approval_for_pull: bool | Unset = UNSET
    allow_resharing: bool | Unset = UNSET
    allow_public_visibility: bool | Unset = UNSET

    def changes(self) -> dict[str, Any]:
        """Return the members of the circuit that change, in their stored form. Raises Invalid."""
        found = given(self)
        if "default_namespace" in found:
            found["default_namespace"] = namespace_of(found["default_namespace"])
        if isinstance(self.alias_config, AliasRequest):
            found["alias_config"] = self.alias_config.config()
        return found


@attrs.frozen
class WithReason:
    """Why, if one wants to say."""

    reason: Reason | None = None


@attrs.frozen
class TransferCircuit:
    """Who becomes the owner (4.4)."""

    member_id: Id


@attrs.frozen
class AddMember:
    """Who becomes a member, by id or by user name, with which role (4.5)."""

    role: RoleName
    member_id: Id | None = None
    username: Annotated[str, Line(1, 100)] | None = None

    def check(self) -> None:
        """Demand exactly one of the two names. Raises Invalid."""
        if (self.member_id is None) == (self.username is None):
            raise Invalid([Fault("required", "Name the user by member_id or by username.", pointer="/member_id")])


@attrs.frozen
class ChangeRole:
    """The new role; null takes the custom role off (4.6)."""

    role: RoleName | None


@attrs.frozen
class CreateRole:
    """A custom role (4.8)."""

    name: NewRoleName
    permissions: frozenset[Permission]
    display_name: Annotated[str, Line(1, 60)] | None = None
    description: Annotated[str, Text(0, 500)] = ""
    color: Color | None = None


@attrs.frozen
class UpdateRole:
    """What changes of a custom role; its name never does."""

    display_name: Annotated[str, Line(1, 60)] | Unset = UNSET
    description: Annotated[str, Text(0, 500)] | Unset = UNSET
    color: Color | Unset | None = UNSET
    permissions: frozenset[Permission] | Unset = UNSET


@attrs.frozen
class AskToJoin:
    """A request to join (4.9)."""

    message: Reason | None = None


@attrs.frozen
class JoinPage(AskToJoin):
    """A request to join by the public page, with its password where it has one."""

    access_password: Annotated[str, Raw(1, 256)] | None = None


@attrs.frozen
class ApproveJoin:
    """The role to be given (4.10)."""

    role: RoleName = "viewer"


@attrs.frozen
class PushLocal:
    """A draft to be pushed, with what it does not say itself (4.13)."""

    local_id: Id
    identifiers: Annotated[tuple[IdentifierInput, ...], Count(0, MAX_IDENTIFIERS)] = ()
    data: Document = EMPTY

    @property
    def extras(self) -> Submission:
        return Submission(identifiers=self.identifiers, data=self.data)


@attrs.frozen
class PushElement:
    """One element of a batch: a DFID, or a LID with extras."""

    dfid: Dfid | None = None
    local_id: Id | None = None
    identifiers: Annotated[tuple[IdentifierInput, ...], Count(0, MAX_IDENTIFIERS)] = ()
    data: Document = EMPTY


@attrs.frozen
class PushBatch:
    """1 to 1,000 pushes in one unit; with `atomic` all or none (4.14)."""

    items: Annotated[tuple[PushElement | Faulty, ...], Count(1, 1000)]
    atomic: bool = False


@attrs.frozen
class Publications:
    """1 to 1,000 placements to be shown or hidden (4.17)."""

    dfids: Annotated[tuple[Dfid, ...], Count(1, 1000)]
    published: bool


class Decision(StrEnum):
    """What is done with waiting operations."""

    APPROVE = "approve"
    REJECT = "reject"


@attrs.frozen
class Decisions:
    """1 to 1,000 operations to be decided alike (4.18)."""

    decision: Decision
    operation_ids: Annotated[tuple[Id, ...], Count(1, 1000)]
    reason: Reason | None = None


class CircuitSort(StrEnum):
    """The orders of the list of own circuits."""

    JOINED_AT = "joined_at"
    NAME = "name"


@attrs.frozen
class CircuitFilter:
    """Own memberships (4.20)."""

    status: frozenset[CircuitStatus] = frozenset({CircuitStatus.ACTIVE, CircuitStatus.INACTIVE})
    role: RoleName | None = None
    q: Annotated[str, Line(2, 100)] | None = None
    sort: CircuitSort = CircuitSort.JOINED_AT


@attrs.frozen
class MemberFilter:
    """Active members by role, or by the beginning of their user name."""

    role: RoleName | None = None
    q: Annotated[str, Line(2, 100)] | None = None


class Include(StrEnum):
    """What a list of placements shows besides."""

    ITEM = "item"


@attrs.frozen
class PlacementFilter:
    """Placements of a circuit; `status` is that of the item."""

    dfid: Dfid | None = None
    published: bool | None = None
    placed_by: Id | None = None
    workspace_id: Id | None = None
    status: frozenset[ItemStatus] = frozenset()
    include: Include | None = None


@attrs.frozen
class OperationFilter:
    """Operations of a circuit."""

    status: frozenset[OperationStatus] = frozenset()
    type: frozenset[OperationType] = frozenset()
    dfid: Dfid | None = None
    requester_id: Id | None = None
    batch_id: Id | None = None
