"""Guessing passwords: what it may cost and what it leaves behind (platform.md 5.3, 6.2)."""

import attrs

from application.accounts.desk import Desk
from application.denials import Denial
from domain.access.principal import Principal
from domain.accounts.values import Account
from domain.addresses import counted_address
from domain.errors import Refusal


@attrs.frozen
class LoginGuard:
    """Stands before every comparison with a stored password. `name` is the folded text as it was sent."""

    desk: Desk

    async def admit(self, principal: Principal, name: str) -> None:
        """Count an attempt. Raises Refusal `login_limited`, whether or not the password would be right.

        A refused attempt is audited as `login.failed`, repetitions folded.
        """
        address = counted_address(principal.address)
        for verdict in (
            await self.desk.limiter.hit("login_pair", _pair(name, address)),
            await self.desk.limiter.peek("login_user", name),
            await self.desk.limiter.peek("login_ip", address),
        ):
            if verdict is not None and not verdict.allowed:
                self._note_limited(principal, name)
                wait = max(1, verdict.retry_after_seconds)
                raise Refusal("login_limited", f"Too many attempts. Wait {wait} seconds.", retry_after_seconds=wait)

    def _note_limited(self, principal: Principal, name: str) -> None:
        digest = self.desk.name_digest(name)
        resource = ("name", digest)
        self.desk.denials.note(Denial(principal, "login.failed", resource, "login_limited", name_digest=digest))

    async def failed(self, principal: Principal, name: str, account: Account | None, reason: str) -> None:
        """Count a failure and audit it as `login.failed` in a unit of its own."""
        await self.desk.limiter.hit("login_user", name)
        await self.desk.limiter.hit("login_ip", counted_address(principal.address))
        await self.desk.record_denial(
            principal,
            "login.failed",
            ("user", account.user_id) if account else ("name", self.desk.name_digest(name)),
            reason,
            workspace_id=account.workspace_id if account else None,
            details={"name_digest": self.desk.name_digest(name)},
            submitted_name=name if account else None,
        )

    async def passed(self, principal: Principal, name: str) -> None:
        """Start the count of this name and address anew."""
        await self.desk.limiter.clear("login_pair", _pair(name, counted_address(principal.address)))


def _pair(name: str, address: str) -> str:
    return f"{address} {name}"
