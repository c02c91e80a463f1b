"""Limits of requests: which windows a request is charged to, and what its headers say (http.md 11, platform.md 5.2)."""

from collections.abc import Iterable
from typing import Protocol

import attrs

from domain.access.principal import Principal, PrincipalKind
from domain.addresses import counted_address
from domain.errors import Refusal
from domain.ports.limits import Verdict, Window

MINUTE, DAY = 60, 86_400


class Charges(Protocol):
    """Charges one request to one policy; None when the policy is off."""

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None: ...


@attrs.frozen(slots=False)
class Charge:
    """One policy that a request is charged to; `windows` stand instead of the policy's."""

    policy: str
    key: str
    windows: tuple[Window, ...] | None = None


@attrs.frozen
class RequestLimits:
    """Charges requests to the policies that apply to them."""

    limiter: Charges

    async def charge(self, principal: Principal, policy: str | None) -> list[Verdict]:
        """Charge a request. Returns the verdicts, the refusing one last if there is one."""
        return await self._charge(_charges(principal, policy))

    async def charge_anonymous(self, address: str | None) -> list[Verdict]:
        """Charge a request whose credential failed."""
        return await self._charge([Charge("anonymous", counted_address(address))])

    async def _charge(self, charges: Iterable[Charge]) -> list[Verdict]:
        verdicts = []
        for each in charges:
            verdict = await self.limiter.hit(each.policy, each.key, windows=each.windows)
            if verdict is not None:
                verdicts.append(verdict)
                if not verdict.allowed:
                    break
        return verdicts


def _charges(principal: Principal, policy: str | None) -> list[Charge]:
    if principal.kind is PrincipalKind.API_KEY:
        charges = _of_key(principal)
    elif principal.user_id is not None:
        charges = [Charge("user", principal.user_id)]
    else:
        charges = [Charge("anonymous", counted_address(principal.address))]
    if policy is not None:
        charges.append(Charge(policy, principal.user_id or counted_address(principal.address)))
    return charges


def _of_key(principal: Principal) -> list[Charge]:
    """Return the limits of a key: of the minute, its own or everybody's, then its own of the day."""
    key = principal.key_id or ""
    own = None if principal.per_minute is None else (Window(principal.per_minute, MINUTE),)
    charges = [Charge("key", key, own)]
    if principal.per_day is not None:
        charges.append(Charge("key_day", key, (Window(principal.per_day, DAY),)))
    return charges


def limit_headers(verdicts: list[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return RateLimit-Policy and RateLimit; the latter names the policy with the least left."""
    if not verdicts:
        return ()
    policies = ", ".join([f'"{one.policy}";q={one.quota};w={one.window_seconds}' for one in verdicts])
    least = verdicts[0] if len(verdicts) == 1 else min(verdicts, key=lambda one: (one.allowed, one.remaining))
    left = max(0, least.remaining)
    return (
        ("ratelimit-policy", policies),
        ("ratelimit", f'"{least.policy}";r={left};t={max(0, least.reset_seconds)}'),
    )


def refuse_beyond(verdicts: list[Verdict]) -> None:
    """Raise Refusal `rate_limited` when a policy is used up."""
    if verdicts and not verdicts[-1].allowed:
        wait = max(1, verdicts[-1].retry_after_seconds)
        raise Refusal("rate_limited", f"Wait {wait} seconds.", retry_after_seconds=wait)
