"""A deployment small enough for a test: one store, one clock, the account use cases and the check of tokens."""

from typing import Any

import attrs

from application.accounts import Accounts
from application.accounts.values import (
    InvitationRequest,
    Login,
    Refresh,
    Registration,
    Setup,
    TokenPair,
)
from application.ahead import NOTHING_AHEAD, Ahead
from application.authentication import AccessTokenCheck
from domain.access.principal import ANONYMOUS, Principal, WorkspaceRole
from domain.audit.values import AuditEntry
from domain.errors import Refusal
from domain.notifications.values import Notification
from domain.ports.queries import Select
from domain.ports.schema import AUDIT, NOTIFICATIONS, Facet
from domain.ports.storage import Storage

ROOT = b"r" * 32
PASSWORD = "correct horse battery"


@attrs.frozen
class Line:
    """The client of a test."""

    address: str | None = "203.0.113.7"
    user_agent: str | None = "tests/1"
    trace_id: str = "4bf92f3577b34da6a3ce929d0e0e4736"
    ahead: Ahead = NOTHING_AHEAD


def caller(address: str = "203.0.113.7") -> Principal:
    """Somebody without a credential."""
    return attrs.evolve(ANONYMOUS, address=address, user_agent="tests/1", trace_id=Line().trace_id)


@attrs.frozen
class World:
    storage: Storage
    clock: Any
    accounts: Accounts
    check: AccessTokenCheck

    def other_instance(self, **settings: Any) -> "World":
        """A second instance on the same store, with its own limiter unless told otherwise."""
        desk = self.accounts.desk
        desk = attrs.evolve(desk, settings=attrs.evolve(desk.settings, **settings))
        return attrs.evolve(self, accounts=Accounts(desk))

    async def register(self, name: str = "ana", **more: Any) -> TokenPair:
        request = Registration(username=name, email=f"{name}@example.com", password=PASSWORD, **more)
        return await self.accounts.registrations.register(caller(), request)

    async def login(self, name: str = "ana", password: str = PASSWORD, address: str = "203.0.113.7") -> TokenPair:
        return await self.accounts.logins.login(caller(address), Login(name, password))

    async def refresh(self, token: str) -> TokenPair:
        return await self.accounts.refreshing.refresh(caller(), Refresh(token))

    async def setup(self, token: str, name: str = "root") -> TokenPair:
        request = Setup(setup_token=token, username=name, email=f"{name}@example.com", password=PASSWORD)
        return await self.accounts.registrations.setup(caller(), request)

    async def who(self, pair: TokenPair) -> Principal:
        """Whom the access token of a pair stands for now."""
        return await self.check(pair.access_token, Line())

    async def invite(self, manager: TokenPair, **more: Any) -> str:
        issued = await self.accounts.invitations.create(await self.who(manager), InvitationRequest(**more))
        return issued.secret

    async def join(self, manager: TokenPair, name: str, role: WorkspaceRole = WorkspaceRole.MEMBER) -> TokenPair:
        """Register somebody into the workspace of a manager."""
        return await self.register(name, invitation_token=await self.invite(manager, workspace_role=role))

    async def rows(self, facet: Facet[Any]) -> tuple[Any, ...]:
        async with self.storage.read() as reader:
            return (await reader.page(facet, Select(), limit=1000)).items

    async def audit(self, action: str) -> list[AuditEntry]:
        return [entry for entry in await self.rows(AUDIT) if entry.action == action]

    async def notified(self, kind: str) -> list[Notification]:
        return [row for row in await self.rows(NOTIFICATIONS) if row.type == kind]


def codes(results: list[Any]) -> list[str]:
    """Return `ok` or the code of the refusal, sorted."""
    return sorted(result.code if isinstance(result, Refusal) else "ok" for result in _raised(results))


def _raised(results: list[Any]) -> list[Any]:
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refusal):
            raise result
    return results
