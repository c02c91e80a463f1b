"""Running a route under an Idempotency-Key: its answer is kept in the unit of its effect (http.md 9)."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs

from application.completion import completion, renewal
from domain.errors import DomainError, Refusal
from domain.ports.errors import OutcomeUnknown
from domain.ports.storage import Unit
from entrypoints.http.answers import Answer
from entrypoints.http.exchange import Exchange
from entrypoints.http.idempotency import LEASE_MARGIN, Claim, KeyedRequest, fingerprint
from entrypoints.http.presenting import PagePlace, present
from entrypoints.http.routing import Call, Upload

if TYPE_CHECKING:
    from entrypoints.http.serving import Input, Serving

UNBOUNDED = timedelta(minutes=5)
"""The lease of a request without a time budget, renewed by each of its units."""


class Keyed:
    """One request with a key."""

    def __init__(self, serving: "Serving", exchange: Exchange, found: "Input", key: str) -> None:
        self.serving, self.exchange, self.found = serving, exchange, found
        self.idempotency = serving.kernel.idempotency
        self.hasher = hashlib.sha256()
        self.request = self._request(key)
        self.kept: Answer | None = None

    def _request(self, key: str) -> KeyedRequest:
        exchange, route = self.exchange, self.serving.route
        user_id = exchange.principal.user_id if exchange.principal else None
        budget = route.time_budget(self.serving.kernel.settings.request_timeout)
        lease = (UNBOUNDED if budget is None else timedelta(seconds=budget)) + LEASE_MARGIN
        record_key = f"{user_id} {exchange.method} {exchange.path} {key}"
        return KeyedRequest(record_key, str(user_id), None if route.uploads else self._print(self.found.json), lease)

    def _print(self, body: Any) -> str:
        return fingerprint(self.exchange.method, self.exchange.path, self.exchange.query, body)

    def _final_print(self) -> str:
        return self.request.fingerprint or self._print(self.hasher.hexdigest())

    async def answer(self) -> Answer:
        """Replay the stored answer, or run the route and keep its answer. Raises what the route raises."""
        upload = self._hashed(self.serving.upload(self.exchange)) if self.serving.route.uploads else None
        try:
            call, place = self.serving.call(self.exchange, self.found, upload)
        except DomainError:
            earlier = await self.idempotency.look(self.request)
            if earlier is None:
                raise
            return self.idempotency.replay(earlier, self.serving.route.secret)
        begun = await self.idempotency.begin(self.request)
        if isinstance(begun, Claim):
            return await self._run(begun, call, place)
        if upload is not None:
            await self._compare(upload, begun.fingerprint)
        return self.idempotency.replay(begun, self.serving.route.secret)

    async def _compare(self, upload: Upload, stored: str | None) -> None:
        async for _ in upload.chunks:
            pass
        if self._final_print() != stored:
            raise Refusal("idempotency_key_reused", "This Idempotency-Key was sent with another request.")

    async def _run(self, claim: Claim, call: Call, place: PagePlace | None) -> Answer:
        self._hook(claim, place)
        try:
            result = await self.serving.handle(self.exchange, call)
            answer = self.kept
            if answer is None:
                answer = present(self.serving.route, result, place, self.found.path)
                await self.idempotency.settle(claim, answer, self._final_print())
            return answer
        except OutcomeUnknown:
            raise
        except BaseException:
            await self.idempotency.withdraw(claim)
            raise

    def _hook(self, claim: Claim, place: PagePlace | None) -> None:
        async def finish(unit: Unit, result: Any) -> None:
            self.exchange.committing = True
            answer = present(self.serving.route, result, place, self.found.path)
            await self.idempotency.complete(unit, claim, answer, self._final_print())
            self.kept = answer

        async def prolong(unit: Unit) -> None:
            await self.idempotency.renew(unit, claim, self.request.lease)

        completion.set(finish)
        renewal.set(prolong)

    def _hashed(self, upload: Upload) -> Upload:
        return attrs.evolve(upload, chunks=self._hash(upload.chunks))

    async def _hash(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.hasher.update(chunk)
            yield chunk
