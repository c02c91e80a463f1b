"""Invitations, resets, freezing, roles, sessions in number (platform.md 2.3, 3.4, 3.6, 9.2)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import attrs
import pytest

from application.accounts.values import (
    Freeze,
    InvitationRequest,
    NewAdministrator,
    PasswordResetUse,
    ProfilePatch,
    RolePatch,
    TokenPair,
    UserPatch,
)
from application.keys.service import ApiKeys
from application.keys.values import NewKey
from application.secrets import Peppers
from domain.access.principal import Principal, Scope, WorkspaceRole, system
from domain.errors import Invalid
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, API_KEYS, INVITATIONS, REFRESH_TOKENS, ROSTER, SESSIONS, STORE
from domain.ports.storage import Storage, Unit
from tests.application.accounts.test_scenarios import refused
from tests.application.accounts.world import PASSWORD, World, caller, codes

NEW = "another good password"


class Overtaken:
    """A store whose first unit is overtaken by what others do before it commits."""

    def __init__(self, storage: Storage, others: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._storage, self._others = storage, [others]

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Unit]:
        async with self._storage.write() as unit:
            yield unit
            for others in self._others[:]:
                self._others.clear()
                await asyncio.create_task(others())


async def administrator(world: World, name: str) -> TokenPair:
    """Make an administrator as the command line does, and sign in."""
    request = NewAdministrator(name, f"{name}@example.com", PASSWORD)
    await world.accounts.registrations.create_admin(system(), request)
    return await world.login(name)


async def test_18_a_reset_token_works_once_and_ends_every_session(world: World):
    pair, admin = await world.register(), await administrator(world, "root")
    issued = await world.accounts.administration.issue_reset(await world.who(admin), pair.user.user_id)
    results = await asyncio.gather(
        *(world.accounts.resets.use(caller(), PasswordResetUse(issued.secret, NEW)) for _ in range(2)),
        return_exceptions=True,
    )
    assert codes(results) == ["ok", "reset_invalid"]
    await refused(world.who(pair), "token_revoked")
    await refused(world.refresh(pair.refresh_token), "refresh_invalid")
    await refused(world.login(), "login_failed")
    assert await world.login(password=NEW)
    assert [entry.resource["id"] for entry in await world.audit("password.reset")] == [pair.user.user_id]


@pytest.mark.parametrize("erased", [False, True])
async def test_no_key_outlives_the_standing_of_who_makes_it(world: World, erased: bool):
    """Its user is frozen, or erased too, between the last read of the request and its commit."""
    user, admin = await world.register(), await administrator(world, "root")
    late, me = await world.who(user), await world.who(admin)

    async def end() -> None:
        await world.accounts.administration.freeze(me, user.user.user_id, "x")
        if erased:
            await world.accounts.administration.erase(me, user.user.user_id, "x")

    desk = world.accounts.desk
    units = attrs.evolve(desk.units, storage=Overtaken(desk.units.storage, end))
    keys, request = ApiKeys(units, desk.peppers), NewKey("late", frozenset({Scope.ITEMS_READ}))
    await refused(keys.create(late, request), "token_revoked")
    async with world.storage.read() as reader:
        assert (await reader.page(API_KEYS, Select({"created_by": user.user.user_id}), limit=1)).items == ()


async def test_a_reset_is_void_after_an_hour_a_newer_one_or_a_freeze(world: World):
    user, admin = await world.register(), await administrator(world, "root")
    me, act = await world.who(admin), world.accounts.administration
    older = await act.issue_reset(me, user.user.user_id)
    newer = await act.issue_reset(me, user.user.user_id)
    await refused(world.accounts.resets.use(caller(), PasswordResetUse(older.secret, NEW)), "reset_invalid")
    with pytest.raises(Invalid):
        await world.accounts.resets.use(caller(), PasswordResetUse(newer.secret, "short"))
    await act.freeze(me, user.user.user_id, "x")
    await refused(world.accounts.resets.use(caller(), PasswordResetUse(newer.secret, NEW)), "reset_invalid")
    await refused(act.issue_reset(me, user.user.user_id), "account_not_active")
    await act.unfreeze(me, user.user.user_id)
    world.clock.pass_by(timedelta(hours=1))
    await refused(world.accounts.resets.use(caller(), PasswordResetUse(newer.secret, NEW)), "reset_invalid")


async def test_11_a_freeze_ends_tokens_refreshes_and_logins_until_it_is_lifted(world: World):
    user, admin = await world.register(), await administrator(world, "root")
    me, elsewhere = await world.who(admin), world.other_instance().accounts.administration
    await elsewhere.freeze(me, user.user.user_id, "under review")
    await refused(world.who(user), "token_revoked")
    await refused(world.refresh(user.refresh_token), "refresh_invalid")
    await refused(world.login(), "account_frozen")
    await elsewhere.freeze(me, user.user.user_id, "again")
    assert len(await world.audit("account.frozen")) == 1
    await elsewhere.unfreeze(me, user.user.user_id)
    assert await world.login()
    await refused(world.who(user), "token_revoked")
    assert [row.user_id for row in await world.notified("account_unfrozen")] == [user.user.user_id]


async def test_19_two_administrators_cannot_demote_each_other(world: World):
    one, two = await administrator(world, "one"), await administrator(world, "two")
    act = world.accounts.administration
    results = await asyncio.gather(
        act.set_admin(await world.who(one), two.user.user_id, False),
        act.set_admin(await world.who(two), one.user.user_id, False),
        return_exceptions=True,
    )
    assert codes(results) == ["last_admin", "ok"]
    (roster,) = await world.rows(ROSTER)
    assert [row.user_id for row in await world.rows(ACCOUNTS) if row.is_admin] == list(roster.user_ids)


async def test_two_managers_cannot_remove_each_other(world: World):
    one = await world.register("one")
    two = await world.join(one, "two", WorkspaceRole.MANAGER)
    first, second = await world.who(one), await world.who(two)

    async def demote(by: Principal, target: TokenPair) -> object:
        version = next(row.version for row in await world.rows(ACCOUNTS) if row.user_id == target.user.user_id)
        change = RolePatch(WorkspaceRole.MEMBER)
        return await world.accounts.workspaces.set_role(by, target.user.user_id, change, frozenset({version}))

    async def freeze(by: Principal, target: TokenPair) -> object:
        return await world.accounts.workspaces.freeze(by, target.user.user_id, Freeze("x"))

    results = await asyncio.gather(demote(first, two), freeze(second, one), return_exceptions=True)
    assert codes(results) == ["last_manager", "ok"]


async def test_a_frozen_manager_stays_one_while_the_workspace_has_no_other(world: World):
    """Otherwise a workspace could be let in again without anybody who manages it."""
    manager, root = await world.register("one"), await administrator(world, "root")
    member = await world.join(manager, "two")
    me, act = await world.who(root), world.accounts.administration
    demotion = UserPatch(workspace_role=WorkspaceRole.MEMBER)
    await act.freeze(me, manager.user.user_id, "asked for")
    await refused(act.update(me, manager.user.user_id, demotion, None), "last_manager")
    await act.update(me, member.user.user_id, UserPatch(workspace_role=WorkspaceRole.MANAGER), None)
    assert (await act.update(me, manager.user.user_id, demotion, None)).workspace_role is WorkspaceRole.MEMBER


async def test_an_administrator_from_the_command_line_ends_the_setup_token(world: World):
    await administrator(world, "root")
    assert await world.accounts.registrations.setup_token() is None
    assert [record.setup_value for record in await world.rows(STORE)] == [None]
    again = NewAdministrator("root", "other@example.com", PASSWORD)
    await refused(world.accounts.registrations.create_admin(system(), again), "account_exists")
    assert [entry.actor["kind"] for entry in await world.audit("account.created")] == ["system"]
    assert [account.username for account in await world.accounts.administration.administrators()] == ["root"]


async def test_an_administrator_joins_the_workspace_that_is_named_and_else_makes_it(world: World):
    request = NewAdministrator("one", "one@example.com", PASSWORD, workspace_name="Head Office")
    first = await world.accounts.registrations.create_admin(system(), request)
    second = await world.accounts.registrations.create_admin(
        system(), attrs.evolve(request, username="two", email="two@example.com", workspace_name="HEAD  office")
    )
    assert first.workspace_id == second.workspace_id


async def test_one_session_more_than_allowed_ends_the_least_recently_used(world: World):
    small = world.other_instance(max_sessions=3)
    pairs = [await small.register()]
    for _ in range(2):
        world.clock.pass_by(timedelta(seconds=1))
        pairs.append(await small.login())
    world.clock.pass_by(timedelta(seconds=1))
    pairs[0] = await small.refresh(pairs[0].refresh_token)
    await small.login()
    await refused(world.who(pairs[1]), "token_revoked")
    assert await world.who(pairs[0]) and await world.who(pairs[2])
    assert sorted(str(row.revoke_reason) for row in await world.rows(SESSIONS)) == ["None", "None", "None", "replaced"]


async def test_logins_at_once_count_each_other(world: World):
    small = world.other_instance(max_sessions=2)
    await small.register()
    pairs = await asyncio.gather(*(small.login() for _ in range(4)))
    alive = [pair for pair in pairs if not await _refused(small, pair)]
    assert len(alive) == 2


async def test_many_logins_of_one_user_at_once_all_succeed(world: World):
    await world.register()
    addresses = [f"203.0.113.{n}" for n in range(24)]
    pairs = await asyncio.gather(*(world.login(address=each) for each in addresses))
    assert len({pair.refresh_token for pair in pairs}) == len(addresses)


async def _refused(world: World, pair: TokenPair) -> bool:
    return "token_revoked" in codes(await asyncio.gather(world.who(pair), return_exceptions=True))


async def test_a_session_ends_by_idleness_and_by_age(world: World):
    pair = await world.register()
    for _ in range(3):
        world.clock.pass_by(timedelta(days=29))
        pair = await world.refresh(pair.refresh_token)
    world.clock.pass_by(timedelta(days=3))
    await refused(world.refresh(pair.refresh_token), "refresh_invalid")
    idle = await world.login()
    assert idle.refresh_expires_at == world.clock.now() + timedelta(days=30)
    world.clock.pass_by(timedelta(days=30))
    await refused(world.refresh(idle.refresh_token), "refresh_invalid")


async def test_logout_everywhere_ends_every_session(world: World):
    pairs = [await world.register(), await world.login()]
    user = await world.who(pairs[0])
    assert len((await world.accounts.sessions.page(user, None, 50)).items) == 2
    await world.accounts.sessions.logout_all(user)
    for pair in pairs:
        await refused(world.who(pair), "token_revoked")
    assert len((await world.accounts.sessions.page(user, None, 50)).items) == 0


async def test_an_invitation_is_for_one_address_once_and_for_its_time(world: World):
    manager = await world.register("ana")
    bound = await world.invite(manager, email="Bia@Example.com")
    await refused(world.register("cid", invitation_token=bound), "invitation_invalid")
    assert await world.register("bia", invitation_token=bound)
    short = await world.invite(manager, expires_in_seconds=3600)
    world.clock.pass_by(timedelta(hours=1))
    await refused(world.register("dan", invitation_token=short), "invitation_invalid")
    open_one = await world.invite(await world.login("ana"))
    with pytest.raises(Invalid):
        await world.register("eva", invitation_token=open_one, workspace_name="Own")
    results = await asyncio.gather(
        *(world.register(name, invitation_token=open_one) for name in ("eva", "fio")), return_exceptions=True
    )
    assert codes(results) == ["invitation_invalid", "ok"]


async def test_revoking_closes_an_invitation_and_a_used_one_cannot_be_revoked(world: World):
    manager = await world.register("ana")
    me, act = None, world.accounts.invitations
    secret = await world.invite(manager)
    me = await world.who(manager)
    (invitation,) = (await act.page(me, None, 50)).items
    await act.revoke(me, invitation.invitation_id)
    await act.revoke(me, invitation.invitation_id)
    await refused(world.register("bia", invitation_token=secret), "invitation_invalid")
    await world.register("bia", invitation_token=await world.invite(manager))
    used = next(row for row in await world.rows(INVITATIONS) if row.used_at)
    await refused(act.revoke(me, used.invitation_id), "invitation_used")
    stranger = await world.who(await world.register("cid"))
    await refused(act.get(stranger, used.invitation_id), "not_found")


async def test_a_workspace_has_a_hundred_open_invitations_at_most(world: World):
    me = await world.who(await world.register("ana"))
    create = world.accounts.invitations.create
    for _ in range(99):
        await create(me, InvitationRequest(expires_in_seconds=3600))
    results = await asyncio.gather(*(create(me, InvitationRequest()) for _ in range(2)), return_exceptions=True)
    assert codes(results) == ["ok", "quota_reached"]
    world.clock.pass_by(timedelta(hours=1))
    assert await create(me, InvitationRequest())


async def test_what_is_found_under_the_previous_root_key_moves_under_the_current_one(world: World):
    pair = await world.register()
    invitation = await world.invite(pair)
    desk = world.accounts.desk
    before = {token.token_hash for token in await world.rows(REFRESH_TOKENS)}
    rotated = attrs.evolve(
        world, accounts=attrs.evolve(world.accounts, desk=attrs.evolve(desk, peppers=Peppers.of(b"n" * 32, b"r" * 32)))
    )
    await rotated.refresh(pair.refresh_token)
    assert await rotated.register("bia", invitation_token=invitation)
    assert not before & {token.token_hash for token in await world.rows(REFRESH_TOKENS)}
    settled = attrs.evolve(
        world, accounts=attrs.evolve(world.accounts, desk=attrs.evolve(desk, peppers=Peppers.of(b"n" * 32)))
    )
    assert await settled.refresh(pair.refresh_token)
    await refused(world.refresh(pair.refresh_token), "refresh_invalid")


async def test_of_two_changes_under_one_version_one_is_made(world: World):
    me = await world.who(await world.register())
    results = await asyncio.gather(
        *(world.accounts.profiles.patch(me, ProfilePatch(display_name=name), frozenset({1})) for name in "ab"),
        return_exceptions=True,
    )
    assert codes(results) == ["ok", "version_mismatch"]


async def test_a_default_workspace_name_that_is_taken_gets_a_tail(world: World):
    await world.register("ana", workspace_name="bia")
    assert (await world.register("bia")).workspace.name.startswith("bia ")


async def test_a_due_hash_is_renewed_by_the_login(world: World):
    await world.register()
    other = world.accounts.desk.passwords.__class__(workers=1, queue=1, time_cost=2, memory_kib=8192)
    desk = attrs.evolve(world.accounts.desk, passwords=other)
    await attrs.evolve(world, accounts=attrs.evolve(world.accounts, desk=desk)).login()
    other.close()
    assert [",t=2," in account.password_hash for account in await world.rows(ACCOUNTS)] == [True]
