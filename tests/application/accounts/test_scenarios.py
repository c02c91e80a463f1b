"""Acceptance scenarios of platform.md 17, by their numbers."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import attrs
import pytest

from application.accounts.values import PasswordChange
from application.tokens import SignedTokens, TokenKeys
from domain.errors import Invalid, Refusal
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, REFRESH_TOKENS, SESSIONS, WORKSPACES
from tests.application.accounts.world import PASSWORD, Line, World, caller, codes


async def refused(work, code: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    assert caught.value.code == code
    return caught.value


async def test_01_the_setup_token_makes_one_administrator_and_dies(world: World):
    await refused(world.login(), "login_failed")
    token = await world.accounts.registrations.setup_token()
    assert token is not None and token.startswith("dfs_")

    await refused(world.setup("dfs_" + "0" * 46), "setup_invalid")
    pair = await world.setup(token)

    assert pair.user.is_admin and (await world.who(pair)).is_admin
    assert [entry.reason for entry in await world.audit("access.denied")] == ["setup_invalid"]
    assert len(await world.audit("setup.completed")) == 1
    await refused(world.setup(token, "second"), "setup_done")
    assert await world.accounts.registrations.setup_token() is None


@pytest.mark.parametrize("names", [("one", "two"), ("root", "root")])
async def test_02_two_setups_at_once_end_as_one_administrator(world: World, names: tuple[str, str]):
    first, second = world, world.other_instance()
    token = await first.accounts.registrations.setup_token()
    assert token == await second.accounts.registrations.setup_token()
    assert token is not None
    results = await asyncio.gather(first.setup(token, names[0]), second.setup(token, names[1]), return_exceptions=True)
    assert codes(results) == ["ok", "setup_done"]
    assert len(await world.rows(ACCOUNTS)) == len(await world.rows(WORKSPACES)) == 1


async def test_02_a_setup_that_another_one_overtakes_is_told_that_it_is_done(world: World):
    first, second = world, world.other_instance()
    token = await first.accounts.registrations.setup_token()
    assert token is not None
    units = first.accounts.desk.units
    units.storage = overtaken = Overtaken(units.storage, lambda: second.setup(token, "two"))
    try:
        await refused(first.setup(token, "one"), "setup_done")
    finally:
        units.storage = overtaken.storage
    assert await world.audit("access.denied") == []


class Overtaken:
    """A storage on which something else happens after the first row was read."""

    def __init__(self, storage, otherwise):
        self.storage, self.otherwise = storage, otherwise

    def __getattr__(self, name):
        return getattr(self.storage, name)

    @asynccontextmanager
    async def read(self):
        async with self.storage.read() as reader:
            find = reader.find

            async def once(*asked):
                found = await find(*asked)
                if self.otherwise is not None:
                    happens, self.otherwise = self.otherwise, None
                    await happens()
                return found

            yield SimpleNamespace(find=once)


async def test_05_a_wrong_password_tells_nothing_about_the_name(world: World):
    await world.register("known")
    spent: list[str | None] = []
    verify = world.accounts.desk.passwords.verify

    async def counted(encoded, password):
        spent.append(encoded)
        return await verify(encoded, password)

    world.accounts.desk.passwords.verify = counted
    try:
        answers = [await refused(world.login(name, "wrong password"), "login_failed") for name in ("known", "unknown")]
    finally:
        del world.accounts.desk.passwords.verify
    assert str(answers[0]) == str(answers[1]) and answers[0].members == answers[1].members
    assert len(spent) == 2 and spent[1] is None
    kinds = sorted((entry.resource["kind"], entry.outcome) for entry in await world.audit("login.failed"))
    assert kinds == [("name", "denied"), ("user", "denied")]
    assert all("unknown" not in str(entry) for entry in await world.audit("login.failed"))


async def test_06_ten_failures_shut_one_address_out_and_a_success_starts_anew(world: World):
    await world.register("ana")
    for _ in range(9):
        await refused(world.login(password="wrong password"), "login_failed")
    await world.login()
    for _ in range(10):
        await refused(world.login(password="wrong password"), "login_failed")
    limited = await refused(world.login(), "login_limited")
    assert limited.members["retry_after_seconds"] >= 1
    assert await world.login(address="198.51.100.9")


async def test_07_two_registrations_of_one_name_make_one_account(world: World):
    results = await asyncio.gather(*(world.register("ana") for _ in range(2)), return_exceptions=True)
    assert codes(results) == ["account_exists", "ok"]
    assert len(await world.rows(ACCOUNTS)) == len(await world.rows(WORKSPACES)) == 1


async def test_08_invitations_count_where_the_mode_lets_them(world: World):
    manager = await world.register("ana")
    token = await world.invite(manager)
    await refused(
        world.other_instance(registration="closed").register("bia", invitation_token=token), "registration_closed"
    )
    inviting = world.other_instance(registration="invite")
    await refused(inviting.register("bia"), "registration_closed")
    pair = await inviting.register("bia", invitation_token=token)
    assert pair.workspace.workspace_id == manager.workspace.workspace_id
    assert pair.user.workspace_role == "member"
    await refused(inviting.register("cid", invitation_token=token), "invitation_invalid")
    assert [row.user_id for row in await world.notified("invitation_accepted")] == [manager.user.user_id]


async def test_09_an_access_token_that_this_server_did_not_sign_is_refused(world: World):
    pair = await world.register()
    good = world.check.tokens.tokens
    claims = good.read(pair.access_token)
    now, later = world.clock.now(), world.clock.now() + timedelta(minutes=5)
    own = {name: claims[name] for name in ("sub", "ws", "adm", "sid", "epoch", "jti")}
    forged = [
        SignedTokens(TokenKeys(b"x" * 32), "defarm", "defarm-api").sign(own, now, later).text,
        SignedTokens(good.keys, "other", "defarm-api").sign(own, now, later).text,
        SignedTokens(good.keys, "defarm", "other").sign(own, now, later).text,
        good.sign(own | {"sub": "nobody"}, now, later).text,
        pair.access_token[:-2],
        "not a token",
    ]
    for text in forged:
        await refused(world.check(text, Line()), "unauthenticated")
    for lie in ({"ws": new_id()}, {"adm": True}, {"epoch": 7}, {"sid": new_id()}, {"sub": new_id()}):
        await refused(world.check(good.sign(own | lie, now, later).text, Line()), "token_revoked")
    world.clock.pass_by(timedelta(minutes=16))
    await refused(world.who(pair), "token_expired")


async def test_12_a_logout_ends_its_own_session_everywhere_and_no_other(world: World):
    first, second = await world.register(), await world.login()
    await world.other_instance().accounts.sessions.logout(await world.who(first))
    await refused(world.who(first), "token_revoked")
    await refused(world.refresh(first.refresh_token), "refresh_invalid")
    assert (await world.who(second)).session_id == second.session_id


async def test_13_a_password_change_ends_every_older_token(world: World):
    first, second = await world.register(), await world.login()
    user = await world.who(first)
    change = PasswordChange(PASSWORD, "another good password")
    pair = await world.accounts.logins.change_password(user, change)
    for old in (first, second):
        await refused(world.who(old), "token_revoked")
        await refused(world.refresh(old.refresh_token), "refresh_invalid")
    assert (await world.who(pair)).user_id == user.user_id
    assert await world.refresh(pair.refresh_token)
    await refused(world.login(), "login_failed")
    assert await world.login(password="another good password")
    assert len(await world.notified("password_changed")) == len(await world.audit("password.changed")) == 1


async def test_a_new_password_is_another_one_however_it_is_typed(world: World):
    composed, apart = "sete bois pard\u00e3os", "sete bois parda\u0303os"
    user = await world.who(await world.register())
    user = await world.who(await world.accounts.logins.change_password(user, PasswordChange(PASSWORD, composed)))
    for new, code in ((composed, "password_unchanged"), (apart, "password_unchanged"), ("short", "too_short")):
        with pytest.raises(Invalid) as refused:
            await world.accounts.logins.change_password(user, PasswordChange(apart, new))
        assert [fault.code for fault in refused.value.faults] == [code]


async def test_14_a_lost_refresh_can_be_repeated_but_a_late_one_ends_the_session(world: World):
    pair = await world.register()
    successor = await world.refresh(pair.refresh_token)
    world.clock.pass_by(timedelta(seconds=30))
    again = await world.refresh(pair.refresh_token)
    assert again.refresh_token == successor.refresh_token
    world.clock.pass_by(timedelta(seconds=1))
    await refused(world.refresh(pair.refresh_token), "refresh_invalid")
    await refused(world.who(again), "token_revoked")
    await refused(world.refresh(successor.refresh_token), "refresh_invalid")
    assert [entry.severity for entry in await world.audit("session.reuse_detected")] == ["critical"]
    assert [row.user_id for row in await world.notified("session_reuse_detected")] == [pair.user.user_id]
    (session,) = await world.rows(SESSIONS)
    assert session.revoke_reason == "reuse"


async def test_14b_within_the_grace_a_token_whose_successor_is_used_harms_nobody(world: World):
    pair = await world.register()
    third = await world.refresh((await world.refresh(pair.refresh_token)).refresh_token)
    await refused(world.refresh(pair.refresh_token), "refresh_invalid")
    assert await world.who(third)
    assert await world.audit("session.reuse_detected") == []


async def test_15_ten_refreshes_at_once_carry_one_successor(world: World):
    pair = await world.register()
    pairs = await asyncio.gather(*(world.refresh(pair.refresh_token) for _ in range(10)))
    assert len({each.refresh_token for each in pairs}) == 1
    tokens = await world.rows(REFRESH_TOKENS)
    assert len(tokens) == 2 and sum(token.used_at is not None for token in tokens) == 1
    assert all([await world.who(each) for each in pairs])


async def test_16_tokens_outlive_a_restart(world: World):
    pair = await world.register()
    restarted = world.other_instance()
    assert await restarted.who(pair)
    assert await restarted.refresh(pair.refresh_token)


async def test_17_a_rotated_signing_key_still_opens_old_tokens(world: World):
    pair = await world.register()
    tokens = world.check.tokens
    keys = TokenKeys(b"n" * 32, tokens.tokens.keys.current)
    rotated = attrs.evolve(tokens, tokens=attrs.evolve(tokens.tokens, keys=keys))
    assert await attrs.evolve(world.check, tokens=rotated)(pair.access_token, Line())


async def test_20_the_last_administrator_stays(world: World):
    token = await world.accounts.registrations.setup_token()
    assert token is not None
    pair = await world.setup(token)
    me, admin = await world.who(pair), world.accounts.administration
    await refused(admin.freeze(me, pair.user.user_id, "x"), "self_forbidden")
    await refused(admin.set_admin(me, pair.user.user_id, False), "self_forbidden")
    await refused(admin.freeze(caller(), pair.user.user_id, "x"), "last_admin")
    await refused(admin.set_admin(caller(), pair.user.user_id, False), "last_admin")
    assert await world.login("root@example.com")
