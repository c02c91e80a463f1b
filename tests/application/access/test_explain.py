"""Explanations: the very decision, to whom it may be told (circuits.md 2.6)."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from application.access import Access
from application.access.requests import Explain
from application.access.views import Explanation
from application.circuits.requests import CreateRole
from application.events import Events
from application.events.requests import AppendEvent
from application.items.sharing import ShareItem
from domain.access.decide import Action
from domain.access.permissions import Permission
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import CircuitStatus, EventVisibility
from domain.accounts.values import AccountStatus
from domain.errors import Invalid, Refusal
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS
from tests.application.circuits.world import World


@attrs.define
class Asking:
    """A circuit of Ana's with an item of Bia's in it, which Caio reads; Dora is nobody there."""

    world: World
    access: Access
    ana: Principal
    bia: Principal
    caio: Principal
    dora: Principal
    circuit_id: str
    dfid: str

    async def explain(self, who: Principal, action: Action, **ids: Any) -> Explanation:
        return await self.access.explain(who, Explain(action, **ids))

    async def grounds(self, who: Principal, action: Action, **ids: Any) -> list[str]:
        told = await self.explain(who, action, **ids)
        assert told.allowed == bool(told.grounds)
        return [str(ground["ground"]) for ground in told.grounds]

    async def refused(self, who: Principal, action: Action, **ids: Any) -> str:
        """Return the code with which an explanation is refused."""
        with pytest.raises(Refusal) as refused:
            await self.explain(who, action, **ids)
        return refused.value.code


@pytest.fixture
async def asking(world: World) -> Asking:
    ana, bia, caio, dora = [await world.user(name) for name in ("ana", "bia", "caio", "dora")]
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    await world.join(ana, circuit_id, caio, role="viewer")
    dfid = await world.item(bia)
    await world.circuits.push(bia, circuit_id, dfid)
    return Asking(world, Access(world.circuits.units), ana, bia, caio, dora, circuit_id, dfid)


async def test_every_ground_is_shown_with_its_fields_in_their_order(asking: Asking) -> None:
    world, dfid = asking.world, asking.dfid
    await world.items.share(asking.bia, dfid, ShareItem(str(asking.caio.user_id)))
    told = await asking.explain(asking.caio, Action.ITEM_VIEW, dfid=dfid)
    assert (told.allowed, told.reason, told.needed) == (True, None, ())
    share, member = told.grounds
    assert dict(share) == {"ground": "share", "share_id": share["share_id"], "expires_at": None}
    assert {name: member[name] for name in ("ground", "circuit_id", "role")} == {
        "ground": "circuit_member",
        "circuit_id": asking.circuit_id,
        "role": "viewer",
    }
    assert str(member["placed_at"]).endswith("Z")
    assert (told.subject.user_id, dict(told.object)) == (asking.caio.user_id, {"dfid": dfid})
    assert told.evaluated_at <= world.clock.instant
    assert await asking.grounds(asking.bia, Action.ITEM_CHANGE, dfid=dfid) == ["own_workspace"]


async def test_a_denial_names_its_reason_and_what_is_missing(asking: Asking) -> None:
    told = await asking.explain(asking.caio, Action.CIRCUIT_UPDATE, circuit_id=asking.circuit_id)
    assert (told.allowed, told.grounds, told.reason) == (False, (), "permission_missing")
    assert told.needed == ("manage_settings",)
    told = await asking.explain(asking.caio, Action.ITEM_CHANGE, dfid=asking.dfid)
    assert told.reason == "not_owner"


async def test_scenario_45_what_the_caller_may_not_know_is_never_explained(asking: Asking) -> None:
    absent = {"dfid": "DFID-20250108-000042-94E", "circuit_id": new_id()}
    for ids in ({"dfid": asking.dfid}, {"dfid": absent["dfid"]}):
        assert await asking.refused(asking.dora, Action.ITEM_VIEW, **ids) == "not_found"
    for ids in ({"circuit_id": asking.circuit_id}, {"circuit_id": absent["circuit_id"]}):
        assert await asking.refused(asking.dora, Action.CIRCUIT_UPDATE, **ids) == "not_found"
    draft = await asking.world.draft(asking.bia)
    assert await asking.refused(asking.caio, Action.ITEM_VIEW, local_id=draft) == "not_found"
    assert await asking.grounds(asking.bia, Action.ITEM_VIEW, local_id=draft) == ["own_workspace"]


async def test_scenario_31_a_reader_without_a_pull_learns_that_one_is_needed(asking: Asking) -> None:
    world = asking.world
    strict = (await world.circuit(asking.ana, require_approval_for_pull=True)).circuit_id
    await world.join(asking.ana, strict, asking.caio, role="viewer")
    dfid = await world.item(asking.ana)
    await world.circuits.push(asking.ana, strict, dfid)
    told = await asking.explain(asking.caio, Action.ITEM_VIEW, dfid=dfid)
    assert (told.allowed, told.reason) == (False, "pull_approval_required")
    pull = (await world.circuits.pull(asking.caio, strict, dfid)).operation
    await world.circuits.approve_operation(asking.ana, pull.operation_id)
    told = await asking.explain(asking.caio, Action.ITEM_VIEW, dfid=dfid)
    assert [(ground["ground"], ground["operation_id"]) for ground in told.grounds] == [
        ("approved_pull", pull.operation_id)
    ]


async def test_a_missing_id_is_a_fault(asking: Asking) -> None:
    for action, ids in (
        (Action.ITEM_VIEW, {}),
        (Action.ITEM_PUSH, {"dfid": asking.dfid}),
        (Action.EVENT_VIEW, {"dfid": asking.dfid}),
        (Action.CIRCUIT_UPDATE, {}),
        (Action.TRANSFER_VIEW, {"dfid": asking.dfid}),
        (Action.NOTIFICATION_VIEW, {"user_id": asking.ana.user_id}),
    ):
        with pytest.raises(Invalid):
            await asking.explain(asking.ana, action, **ids)


async def test_the_owners_workspace_asks_about_others_and_sees_no_roles_of_circuits_it_is_not_in(
    asking: Asking,
) -> None:
    home = next(name for name, home in asking.world.homes.items() if home == asking.bia.workspace_id)
    colleague = await asking.world.user("colleague", home)
    ids = {"dfid": asking.dfid, "user_id": asking.caio.user_id}
    (own,) = (await asking.explain(asking.bia, Action.ITEM_VIEW, **ids)).grounds
    (outside,) = (await asking.explain(colleague, Action.ITEM_VIEW, **ids)).grounds
    assert own["role"] == "viewer"
    assert "role" not in outside
    assert outside["circuit_id"] == asking.circuit_id
    told = await asking.explain(asking.bia, Action.ITEM_VIEW, dfid=asking.dfid, user_id=asking.dora.user_id)
    assert (told.allowed, told.reason, told.subject.user_id) == (False, "not_found", asking.dora.user_id)


async def test_a_manager_asks_about_others_and_gets_the_grounds_of_the_circuit_only(asking: Asking) -> None:
    world = asking.world
    await world.items.share(asking.bia, asking.dfid, ShareItem(str(asking.caio.user_id)))
    ids = {"circuit_id": asking.circuit_id, "user_id": asking.caio.user_id}
    assert await asking.grounds(asking.ana, Action.ITEM_VIEW, dfid=asking.dfid, **ids) == ["circuit_member"]
    owner = {"circuit_id": asking.circuit_id, "user_id": asking.bia.user_id}
    assert await asking.grounds(asking.ana, Action.ITEM_VIEW, dfid=asking.dfid, **owner) == ["circuit_member"]
    told = await asking.explain(asking.ana, Action.MEMBER_ADD, **ids)
    assert (told.reason, told.needed) == ("permission_missing", ("invite",))


async def test_nobody_else_asks_about_others(asking: Asking) -> None:
    about_ana = {"user_id": asking.ana.user_id}
    assert await asking.refused(asking.caio, Action.ITEM_VIEW, dfid=asking.dfid, **about_ana) == "not_found"
    assert await asking.refused(asking.caio, Action.CIRCUIT_UPDATE, circuit_id=asking.circuit_id, **about_ana) == (
        "not_found"
    )
    assert await asking.refused(asking.ana, Action.ITEM_VIEW, dfid=asking.dfid, user_id=asking.caio.user_id) == (
        "not_found"
    )
    assert await asking.refused(asking.ana, Action.AUDIT_VIEW_ALL, user_id=asking.caio.user_id) == "not_found"
    nobody = {"circuit_id": asking.circuit_id, "user_id": new_id()}
    assert await asking.refused(asking.ana, Action.CIRCUIT_UPDATE, **nobody) == "not_found"


async def test_a_frozen_user_reaches_nothing_and_is_as_if_absent(asking: Asking) -> None:
    async with asking.world.storage.write() as unit:
        account = await unit.get(ACCOUNTS, str(asking.caio.user_id))
        await unit.save(ACCOUNTS, attrs.evolve(account, status=AccountStatus.FROZEN, version=account.version + 1))
    ids = {"dfid": asking.dfid, "user_id": asking.caio.user_id}
    assert await asking.refused(asking.bia, Action.ITEM_VIEW, **ids) == "not_found"


async def test_events_operations_and_requests_are_explained_to_who_may_know_them(asking: Asking) -> None:
    world = asking.world
    events = Events(world.circuits.units)
    event, _ = await events.append(
        asking.bia,
        AppendEvent(
            asking.dfid,
            category="weighing",
            visibility=EventVisibility.CIRCUIT_ONLY,
            circuit_id=asking.circuit_id,
        ),
    )
    assert await asking.grounds(asking.caio, Action.EVENT_VIEW, event_id=event.event_id) == ["circuit_member"]
    assert await asking.grounds(asking.bia, Action.EVENT_VIEW, event_id=event.event_id) == [
        "circuit_member",
        "author_workspace",
    ]
    assert await asking.refused(asking.dora, Action.EVENT_VIEW, event_id=event.event_id) == "not_found"
    strict = (await world.circuit(asking.ana, require_approval_for_push=True)).circuit_id
    await world.join(asking.ana, strict, asking.bia)
    waiting = (await world.circuits.push(asking.bia, strict, asking.dfid)).operation
    assert waiting is not None
    ids = {"operation_id": waiting.operation_id}
    assert await asking.grounds(asking.ana, Action.OPERATION_DECIDE, **ids) == ["permission"]
    told = await asking.explain(asking.bia, Action.OPERATION_DECIDE, **ids)
    assert (told.reason, told.needed) == ("permission_missing", ("approve",))
    assert await asking.grounds(asking.bia, Action.OPERATION_CANCEL, **ids) == ["requester", "requester_workspace"]
    assert await asking.refused(asking.caio, Action.OPERATION_VIEW, **ids) == "not_found"


async def test_the_owner_of_an_item_is_told_of_placements_in_circuits_it_is_not_in(asking: Asking) -> None:
    home = next(name for name, home in asking.world.homes.items() if home == asking.bia.workspace_id)
    colleague = await asking.world.user("colleague", home)
    ids = {"dfid": asking.dfid, "circuit_id": asking.circuit_id}
    assert await asking.grounds(colleague, Action.ITEM_WITHDRAW, **ids) == ["own_workspace"]
    assert await asking.refused(colleague, Action.CIRCUIT_UPDATE, circuit_id=asking.circuit_id) == "not_found"


async def test_a_key_is_told_which_scope_it_lacks(asking: Asking) -> None:
    key = attrs.evolve(asking.ana, kind=PrincipalKind.API_KEY, scopes=frozenset({"circuits:read"}))
    told = await asking.explain(key, Action.CIRCUIT_UPDATE, circuit_id=asking.circuit_id)
    assert (told.allowed, told.reason, told.needed) == (False, "scope_missing", ("circuits:manage",))


async def test_what_time_and_status_change_shows_at_once(asking: Asking) -> None:
    world = asking.world
    until = world.clock.instant + timedelta(hours=1)
    await world.items.share(asking.bia, asking.dfid, ShareItem(str(asking.dora.user_id), until))
    assert await asking.grounds(asking.dora, Action.ITEM_VIEW, dfid=asking.dfid) == ["share"]
    world.clock.pass_by(timedelta(hours=1))
    assert await asking.refused(asking.dora, Action.ITEM_VIEW, dfid=asking.dfid) == "not_found"
    await world.circuits.change_status(asking.ana, asking.circuit_id, CircuitStatus.INACTIVE)
    assert await asking.refused(asking.caio, Action.ITEM_VIEW, dfid=asking.dfid) == "not_found"
    told = await asking.explain(asking.ana, Action.CIRCUIT_UPDATE, circuit_id=asking.circuit_id)
    assert told.reason == "circuit_not_active"


async def test_a_custom_role_is_named(asking: Asking) -> None:
    world = asking.world
    await world.circuits.create_role(
        asking.ana, asking.circuit_id, CreateRole("inspetor", frozenset({Permission.CERTIFY}))
    )
    await world.join(asking.ana, asking.circuit_id, asking.dora, role="inspetor")
    (ground,) = (await asking.explain(asking.dora, Action.CIRCUIT_VIEW, circuit_id=asking.circuit_id)).grounds
    assert dict(ground) == {"ground": "membership", "circuit_id": asking.circuit_id, "role": "inspetor"}
