"""What random programs do with accounts, API keys and identifiers: steps of `test_machine`."""

from typing import TYPE_CHECKING, Any

from application.accounts.values import Freeze, InvitationRequest, Registration, RolePatch, UserPatch
from application.items.administration import ConfirmIdentifier, TakeIdentifier
from application.keys.values import KeyPatch, NewKey, Rotation
from domain.access.principal import Principal, PrincipalKind, Scope, WorkspaceRole
from domain.accounts.values import Account
from domain.errors import Refusal
from domain.items.submission import IdentifierInput
from domain.ports.schema import ACCOUNTS, API_KEYS, ITEMS
from tests.application.accounts.world import PASSWORD, caller

if TYPE_CHECKING:
    from tests.application.test_machine import Machine

NUMBERS = ("52998224725", "11144477735")
"""Of persons (CPF)."""
ROLES = (WorkspaceRole.MEMBER, WorkspaceRole.MANAGER)
MOST = 5
"""Persons in one program."""


def as_person(account: Account) -> Principal:
    """Return whom a token of an account stands for."""
    return Principal(
        PrincipalKind.USER,
        account.user_id,
        account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        trace_id="0" * 32,
    )


async def newcomer(m: "Machine", who: Principal, one: int, two: int) -> None:
    """Somebody registers, on every other occasion into the workspace of who invited them."""
    if len(m.people) >= MOST:
        raise Refusal("quota_reached")
    token = None
    if two % 2:
        issued = await m.accounts.invitations.create(who, InvitationRequest(workspace_role=ROLES[one % 2]))
        token = issued.secret
    name = f"newcomer{len(m.people)}"
    request = Registration(name, f"{name}@example.com", PASSWORD, invitation_token=token)
    made = await m.accounts.registrations.register(caller(), request)
    [account] = await m.world.rows(ACCOUNTS, user_id=made.user.user_id)
    m.people.append(as_person(account))


async def freeze(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.administration.freeze(m.root, str(m.person(one).user_id), "asked for")


async def freeze_colleague(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.workspaces.freeze(who, str(m.person(one).user_id), Freeze("asked for"))


async def thaw(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.administration.unfreeze(m.root, str(await m.key(ACCOUNTS, one, place="frozen")))


async def erase_person(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.administration.erase(m.root, str(await m.key(ACCOUNTS, one, place="frozen")), "asked for")


async def regrade(m: "Machine", who: Principal, one: int, two: int) -> None:
    change = UserPatch(workspace_role=ROLES[two % 2])
    await m.accounts.administration.update(m.root, str(m.person(one).user_id), change, None)


async def regrade_colleague(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.workspaces.set_role(who, str(m.person(one).user_id), RolePatch(ROLES[two % 2]), None)


async def grant(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.accounts.administration.set_admin(m.root, str(m.person(one).user_id), two % 2 == 0)


async def issue_key(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.keys.create(who, NewKey(f"key {one}", frozenset(list(Scope)[: two + 1])))


async def change_key(m: "Machine", who: Principal, one: int, two: int) -> None:
    change = KeyPatch(name=f"key {two}", scopes=frozenset(list(Scope)[two : two + 2]))
    await m.keys.patch(who, str(await m.key(API_KEYS, one)), change, None)


async def rotate_key(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.keys.rotate(who, str(await m.key(API_KEYS, one)), Rotation(grace_seconds=60 * (two % 2)))


async def revoke_key(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.keys.revoke(who, str(await m.key(API_KEYS, one)))


async def name_person(m: "Machine", who: Principal, one: int, two: int) -> None:
    await m.world.item(who, IdentifierInput("cpf", NUMBERS[two % 2]), IdentifierInput("lote", str(one)))


async def held(m: "Machine", index: int, key: str) -> tuple[str, str]:
    """Return an item that holds an identifier of a key, and its value; any number of persons, which is sealed."""
    found = [
        (row.dfid, each.normalised or "")
        for row in await m.world.rows(ITEMS)
        if row.dfid is not None
        for each in row.identifiers
        if each.key == key
    ]
    if not found:
        raise Refusal("not_found")
    dfid, value = found[index % len(found)]
    return str(dfid), NUMBERS[index % 2] if key == "cpf" else value


async def confirm_identifier(m: "Machine", who: Principal, one: int, two: int) -> None:
    dfid, value = await held(m, one, "sisbov")
    told = ConfirmIdentifier("sisbov", value, source="PNIB", confirmed_at=m.world.clock.now())
    await m.desk.confirm(m.root, dfid, told)


async def release_identifier(m: "Machine", who: Principal, one: int, two: int) -> None:
    key = ("sisbov", "cpf")[two % 2]
    dfid, value = await held(m, one, key)
    await m.desk.release(m.root, dfid, TakeIdentifier(key, value, reason="asked for"))


async def erase_identifier(m: "Machine", who: Principal, one: int, two: int) -> None:
    dfid, value = await held(m, one, "cpf")
    await m.desk.erase(m.root, dfid, TakeIdentifier("cpf", value, reason="asked for"))


STEPS: tuple[Any, ...] = (
    newcomer, freeze, freeze_colleague, thaw, erase_person, regrade, regrade_colleague, grant,
    issue_key, change_key, rotate_key, revoke_key,
    name_person, confirm_identifier, release_identifier, erase_identifier,
)  # fmt: skip
