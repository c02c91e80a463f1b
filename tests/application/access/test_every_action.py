"""Every action that is decided is explained, by the very function that decides (circuits.md 2.6).

`CASES` names for each action somebody who may do it in the world below, somebody who may not, and what is told to the
latter. A new action needs a row, and what it is about in `NEEDED`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import attrs
import pytest

from application.access import Access
from application.access.requests import NEEDED, Explain
from application.circuits.requests import AskToJoin, UpdateCircuit
from application.items.transfers import OfferItem
from domain.access import decide as deciding
from domain.access.decide import RULES, Action, Ground, GroundKind, Rule
from domain.access.decision import allow
from domain.access.principal import Principal, WorkspaceRole
from domain.access.vocabulary import CircuitStatus
from domain.errors import Refusal
from domain.ports.schema import EVENTS, NOTIFICATIONS
from tests.application.circuits.world import World

HIDDEN = "hidden"
"""What is told of what somebody may not know: nothing."""

OWNERS = ("ana", "caio", "permission_missing")
MEMBERS = ("caio", "dora", "not_a_member")
ANYBODY = ("dora", None, None)

CASES: Mapping[Action, tuple[str, str | None, str | None]] = MappingProxyType(
    {
        Action.ITEM_VIEW: ("caio", "dora", "not_found"),
        Action.ITEM_VIEW_PUBLIC: ANYBODY,
        Action.ITEM_VIEW_OFFER: ("caio", "dora", "not_found"),
        Action.ITEM_CHANGE: ("hugo", "ana", "not_owner"),
        Action.ITEM_ENRICH: ("hugo", "caio", "not_owner"),
        Action.ITEM_PUSH: ("bia", "ana", "resharing_not_allowed"),
        Action.ITEM_WITHDRAW: ("hugo", "caio", "permission_missing"),
        Action.ITEM_PUBLISH: ("ana", "bia", "permission_missing"),
        Action.ITEM_UNPUBLISH: ("hugo", "caio", "permission_missing"),
        Action.PLACEMENT_VIEW: ("hugo", "dora", "not_found"),
        Action.TRANSFER_OFFER: ("bia", "hugo", "manager_required"),
        Action.TRANSFER_VIEW: ("dora", "ana", HIDDEN),
        Action.TRANSFER_DECIDE: ("dora", "bia", "manager_required"),
        Action.TRANSFER_CANCEL: ("hugo", "dora", "not_owner"),
        Action.EVENT_VIEW: ("caio", "dora", "not_found"),
        Action.EVENT_VIEW_PUBLIC: ANYBODY,
        Action.EVENT_APPEND: ("hugo", "caio", "event_write_denied"),
        Action.CIRCUIT_CREATE: ANYBODY,
        Action.CIRCUIT_VIEW: MEMBERS,
        Action.CIRCUIT_STATS: MEMBERS,
        Action.CIRCUIT_VIEW_PAGE: ANYBODY,
        Action.CIRCUIT_VIEW_SETTINGS: OWNERS,
        Action.CIRCUIT_UPDATE: OWNERS,
        Action.CIRCUIT_PUBLIC_SETTINGS: OWNERS,
        Action.CIRCUIT_DEACTIVATE: OWNERS,
        Action.CIRCUIT_ACTIVATE: ("ana", "dora", HIDDEN),
        Action.CIRCUIT_ARCHIVE: OWNERS,
        Action.CIRCUIT_TRANSFER: ("ana", "bia", "owner_required"),
        Action.CIRCUIT_PUSH: ("bia", "caio", "permission_missing"),
        Action.CIRCUIT_PULL: MEMBERS,
        Action.WEBHOOK_VIEW: OWNERS,
        Action.WEBHOOK_CHANGE: OWNERS,
        Action.MEMBER_LIST: MEMBERS,
        Action.MEMBER_VIEW_OWN: MEMBERS,
        Action.MEMBER_ADD: OWNERS,
        Action.MEMBER_CHANGE_ROLE: OWNERS,
        Action.MEMBER_REMOVE: OWNERS,
        Action.MEMBER_LEAVE: ("caio", "ana", "owner_cannot_leave"),
        Action.ROLE_LIST: MEMBERS,
        Action.ROLE_CREATE: OWNERS,
        Action.ROLE_UPDATE: OWNERS,
        Action.ROLE_DELETE: OWNERS,
        Action.JOIN_REQUEST: ANYBODY,
        Action.JOIN_LIST: OWNERS,
        Action.JOIN_DECIDE: OWNERS,
        Action.JOIN_VIEW: ("eva", "bia", HIDDEN),
        Action.JOIN_CANCEL: ("eva", "ana", "not_found"),
        Action.OPERATION_VIEW: ("hugo", "caio", HIDDEN),
        Action.OPERATION_PREVIEW: ("ana", "bia", "permission_missing"),
        Action.OPERATION_DECIDE: ("ana", "bia", "permission_missing"),
        Action.OPERATION_CANCEL: ("hugo", "ana", "not_found"),
        Action.ACTIVITY_VIEW: ("caio", "dora", "not_found"),
        Action.AUDIT_VIEW_CIRCUIT: OWNERS,
        Action.AUDIT_VIEW_ALL: ("operator", "ana", "admin_required"),
        Action.NOTIFICATION_VIEW: ("ana", "operator", HIDDEN),
        Action.NOTIFICATION_CHANGE: ("ana", "operator", HIDDEN),
        Action.PREVIEW_AS_MEMBER: OWNERS,
    }
)


@attrs.define
class Asking:
    """A circuit of Ana's with an open page and a published item of Bia's. Caio is a viewer; Eva asked to join.

    A push of Bia's waits for approval, and another item of hers is offered to Dora's workspace. Hugo is of Bia's
    workspace, and manages nothing; the operator is an administrator. `closed` is a circuit that was deactivated.
    """

    access: Access
    people: dict[str, Principal]
    ids: dict[str, str]
    closed: str

    async def explain(self, who: str, action: Action) -> tuple[bool, str | None, list[str]] | None:
        """Return what is told about an action, None where nothing is."""
        held = self.ids | ({"circuit_id": self.closed} if action is Action.CIRCUIT_ACTIVATE else {})
        ids = {name: held[name] for name in NEEDED[action]}
        try:
            told = await self.access.explain(self.people[who], Explain(action, **ids))
        except Refusal as refusal:
            assert refusal.code == "not_found"
            return None
        assert dict(told.object) == ids
        return told.allowed, told.reason, [str(ground["ground"]) for ground in told.grounds]


@pytest.fixture
async def asking(world: World) -> Asking:
    people = {name: await world.user(name) for name in ("ana", "bia", "caio", "dora", "eva", "operator")}
    people["hugo"] = await world.user("hugo", "farm of bia", role=WorkspaceRole.MEMBER)
    people["operator"] = attrs.evolve(people["operator"], is_admin=True)
    ana, bia, dora = people["ana"], people["bia"], people["dora"]
    circuit_id = (await world.circuit(ana, allow_public_visibility=True)).circuit_id
    await world.join(ana, circuit_id, bia)
    await world.join(ana, circuit_id, people["caio"], role="viewer")
    dfid, waiting, offered = [await world.item(bia) for _ in range(3)]
    await world.circuits.push(bia, circuit_id, dfid)
    await world.circuits.publish(ana, circuit_id, dfid, shown=True)
    await world.circuits.update(ana, circuit_id, UpdateCircuit(require_approval_for_push=True), None)
    operation = (await world.circuits.push(bia, circuit_id, waiting)).operation
    request = (await world.circuits.ask_to_join(people["eva"], circuit_id, AskToJoin())).request
    transfer = await world.transfers.offer(bia, offered, OfferItem(str(dora.workspace_id)))
    await world.run_jobs()
    created, *_ = await world.rows(EVENTS, dfid=dfid, position=1)
    told, *_ = await world.rows(NOTIFICATIONS, user_id=ana.user_id)
    ids = {
        "circuit_id": circuit_id,
        "dfid": dfid,
        "event_id": created.event_id,
        "operation_id": operation.operation_id,
        "request_id": request.request_id,
        "transfer_id": transfer.transfer_id,
        "notification_id": told.notification_id,
    }
    closed = (await world.circuit(ana)).circuit_id
    await world.circuits.change_status(ana, closed, CircuitStatus.INACTIVE)
    return Asking(Access(world.circuits.units), people, ids, closed)


async def test_every_action_is_explained_to_who_may_do_it_and_to_who_may_not(asking: Asking) -> None:
    assert set(CASES) == set(Action) == set(RULES)
    for action, (allowed, denied, reason) in CASES.items():
        told = await asking.explain(allowed, action)
        assert told is not None and told[:2] == (True, None), action
        assert told[2] or action is Action.CIRCUIT_CREATE, action
        if denied is not None:
            expected = None if reason == HIDDEN else (False, reason, [])
            assert await asking.explain(denied, action) == expected, action


async def test_what_is_told_is_what_the_function_decides(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = Rule(lambda question: allow((Ground(GroundKind.RECIPIENT),)))
    for action, (allowed, *_) in CASES.items():
        monkeypatch.setattr(deciding, "RULES", {**RULES, action: odd})
        assert await asking.explain(allowed, action) == (True, None, ["recipient"]), action


async def test_the_owners_of_an_offered_item_ask_who_may_accept_it_and_nobody_else_does(asking: Asking) -> None:
    about_dora = Explain(
        Action.TRANSFER_DECIDE, transfer_id=asking.ids["transfer_id"], user_id=asking.people["dora"].user_id
    )
    told = await asking.access.explain(asking.people["hugo"], about_dora)
    assert (told.allowed, told.subject.user_id) == (True, about_dora.user_id)
    about_bia = attrs.evolve(about_dora, user_id=asking.people["bia"].user_id)
    for who in ("dora", "ana"):
        with pytest.raises(Refusal, match="not_found"):
            await asking.access.explain(asking.people[who], about_bia)
