"""Limits of requests: which windows a request is charged to, and what its headers say (http.md 11, platform.md 5.2)."""

import ipaddress
from collections.abc import Iterable
from typing import Protocol

import attrs

from domain.access.principal import Principal, PrincipalKind
from domain.errors import Refusal


class Verdict(Protocol):
    """What the rate limiter answers about one policy (platform.md 5.1)."""

    @property
    def allowed(self) -> bool: ...
    @property
    def policy(self) -> str: ...
    @property
    def quota(self) -> int: ...
    @property
    def window_seconds(self) -> int: ...
    @property
    def remaining(self) -> int: ...
    @property
    def reset_seconds(self) -> int: ...
    @property
    def retry_after_seconds(self) -> int: ...


class Charges(Protocol):
    """Charges one request to one policy; None when the policy is off."""

    async def hit(self, policy: str, key: str) -> Verdict | None: ...


@attrs.frozen
class RequestLimits:
    """Charges requests to the policies that apply to them."""

    limiter: Charges

    async def charge(self, principal: Principal, policy: str | None) -> list[Verdict]:
        """Charge a request. Returns the verdicts, the refusing one last if there is one."""
        return await self._charge(_windows(principal, policy))

    async def charge_anonymous(self, address: str | None) -> list[Verdict]:
        """Charge a request whose credential failed."""
        return await self._charge([("anonymous", limited_address(address))])

    async def _charge(self, windows: Iterable[tuple[str, str]]) -> list[Verdict]:
        verdicts = []
        for policy, key in windows:
            verdict = await self.limiter.hit(policy, key)
            if verdict is not None:
                verdicts.append(verdict)
                if not verdict.allowed:
                    break
        return verdicts


def _windows(principal: Principal, policy: str | None) -> list[tuple[str, str]]:
    if principal.kind is PrincipalKind.API_KEY:
        key = principal.key_id or ""
        windows = [("key", key), ("key_day", key)]
    elif principal.user_id is not None:
        windows = [("user", principal.user_id)]
    else:
        windows = [("anonymous", limited_address(principal.address))]
    if policy is not None:
        windows.append((policy, principal.user_id or limited_address(principal.address)))
    return windows


def limited_address(address: str | None) -> str:
    """Return what an address is counted as: the IPv4 address, the IPv6 /64 (platform.md 1.5)."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))


def limit_headers(verdicts: list[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return RateLimit-Policy and RateLimit; the latter names the policy with the least left."""
    if not verdicts:
        return ()
    policies = ", ".join(f'"{one.policy}";q={one.quota};w={one.window_seconds}' for one in verdicts)
    least = min(verdicts, key=lambda one: (one.allowed, one.remaining))
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
