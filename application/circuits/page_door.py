"""The password of a protected page, and the token it is exchanged for (circuits.md 1.10, 4.16)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from application.passwords import Passwords
from application.tokens import IssuedToken, SignedTokens
from application.units import Units
from domain.access.facts import PageFact
from domain.access.principal import Principal
from domain.act import Act
from domain.addresses import counted_address
from domain.audit.record import audit_entry
from domain.circuits.values import Circuit
from domain.errors import Refusal
from domain.ids import parse_id
from domain.ports.limits import RateLimiter, Verdict, Window
from domain.ports.schema import AUDIT

PER_ADDRESS, PER_CIRCUIT = "page_password", "page_password_circuit"
_NOTED = "page_password_noted"
_PASSED = timedelta(hours=1)


@attrs.define
class PageDoor:
    """Verifies page passwords. Attempts of an address and failures at a circuit are limited."""

    units: Units
    passwords: Passwords
    limiter: RateLimiter
    _told: dict[tuple[str, str], datetime] = attrs.field(factory=dict)

    async def verified(self, principal: Principal, circuit: Circuit, password: str) -> PageFact:
        """Return what a right password proves for the rest of a request.

        Attempts are counted before the password is looked at. Raises Refusal `rate_limited`,
        `page_password_wrong`, `overloaded`.
        """
        circuit_id, settings = circuit.circuit_id, circuit.public_settings
        address = f"{circuit_id} {counted_address(principal.address)}"
        await self._demand(principal, circuit_id, address, await self.limiter.hit(PER_ADDRESS, address))
        await self._demand(principal, circuit_id, circuit_id, await self.limiter.peek(PER_CIRCUIT, circuit_id))
        if not (await self.passwords.verify(settings.password_hash, password)).ok:
            await self.limiter.hit(PER_CIRCUIT, circuit_id)
            raise Refusal("page_password_wrong", "This is not the password of the page.")
        await self.limiter.clear(PER_ADDRESS, address)
        return PageFact(circuit_id, settings.password_version, self.units.clock.now() + _PASSED)

    async def _demand(self, principal: Principal, circuit_id: str, key: str, verdict: Verdict | None) -> None:
        """Raise Refusal `rate_limited` for a limit that is used up, once the audit knows of it."""
        if verdict is None or verdict.allowed:
            return
        wait = max(1, verdict.retry_after_seconds)
        await self._tell(principal, circuit_id, (verdict.policy, key), verdict.window_seconds)
        raise Refusal("rate_limited", f"Too many attempts. Wait {wait} seconds.", retry_after_seconds=wait)

    async def _tell(self, principal: Principal, circuit_id: str, limit: tuple[str, str], seconds: int) -> None:
        """Write one audit entry per window of a limit."""
        now = self.units.clock.now()
        self._told = {known: until for known, until in self._told.items() if until > now}
        if limit in self._told:
            return
        self._told[limit] = now + timedelta(seconds=seconds)
        first = await self.limiter.hit(_NOTED, " ".join(limit), windows=(Window(1, seconds),))
        if first is not None and not first.allowed:
            return  # Another instance wrote it.
        subject, details = ("circuit", circuit_id), {"policy": limit[0]}

        async def work(act: Act) -> None:
            entry = audit_entry(
                principal,
                act.now,
                "page.password_limited",
                subject,
                circuit_id=circuit_id,
                outcome="denied",
                reason="rate_limited",
                details=details,
            )
            await act.unit.add(AUDIT, entry)

        await self.units.perform(principal, work, completes=False)


@attrs.frozen
class PageTokens:
    """Issues and reads page tokens of `ttl` life. A token opens one page, under one password, and nothing else."""

    tokens: SignedTokens
    ttl: timedelta

    def issue(self, page: PageFact, now: datetime) -> IssuedToken:
        """Return a token for a page whose password was verified."""
        claims = {"sub": page.circuit_id, "pv": page.password_version}
        return self.tokens.sign(claims, now, now + self.ttl)

    def facts(self, token: str | None) -> tuple[PageFact, ...]:
        """Return what a token proves, its time not yet judged; one that is not ours counts as none."""
        if token is None:
            return ()
        try:
            claims = self.tokens.read(token)
        except Refusal:
            return ()
        circuit_id, version = _text(claims.get("sub")), claims.get("pv")
        if circuit_id is None or not isinstance(version, int):
            return ()
        return (PageFact(circuit_id, version, datetime.fromtimestamp(claims["exp"], UTC)),)


def _text(subject: Any) -> str | None:
    return subject if isinstance(subject, str) and parse_id(subject) == subject else None
