"""Idempotency-Key: one effect per key, whatever the client repeats (http.md 9)."""

import hashlib
import re
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import msgspec

from domain.errors import Refusal
from domain.idempotency import DONE, RUNNING, IdempotencyRecord
from domain.ports.clock import Clock
from domain.ports.errors import AlreadyExists, Contention, Stale, StorageError
from domain.ports.schema import IDEMPOTENCY
from domain.ports.storage import Storage, Unit
from entrypoints.http.answers import NO_STORE, Answer

LEASE_MARGIN: Final = timedelta(seconds=30)
MAX_BODY: Final = 8 * 1024 * 1024
KEPT_HEADERS: Final = frozenset({"location", "content-location", "etag", "link", "content-type"})
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_sorted = msgspec.json.Encoder(order="sorted")
Seal = Callable[[bytes], bytes]


def read_key(value: str | None) -> str | None:
    """Return the key of a header without its quotes. Raises Refusal `header_invalid`."""
    if value is None:
        return None
    key = value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value
    if not _KEY.fullmatch(key):
        raise Refusal("header_invalid", "Idempotency-Key is 1 to 255 visible ASCII characters.")
    return key


def fingerprint(method: str, path: str, query: bytes, body: Any) -> str:
    """Return the digest of a request: canonical JSON of a decoded body, or the digest of raw bytes as text."""
    return hashlib.sha256(_sorted.encode([method, path, query.decode("latin-1"), body])).hexdigest()


@attrs.frozen
class KeyedRequest:
    """A request with a key: the key of its record, whose it is, what it asks, and how long it may run.

    `fingerprint` is None while the body of an import has not been read.
    """

    key: str
    user_id: str
    fingerprint: str | None
    lease: timedelta


@attrs.define
class Claim:
    """A request that runs under a key, with every form of its record that it may have stored."""

    record: IdempotencyRecord
    written: set[tuple[int, datetime]] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.written.add((self.record.version, self.record.lease_until))

    def owns(self, stored: IdempotencyRecord | None) -> bool:
        """Tell whether a stored record is still this request's, and not taken over by another."""
        return stored is not None and (stored.version, stored.lease_until) in self.written


@attrs.frozen
class Idempotency:
    """Keeps the answers of keyed requests. `seal` and `unseal` guard what holds secrets or personal values."""

    storage: Storage
    clock: Clock
    ttl: timedelta
    seal: Seal
    unseal: Seal

    async def begin(self, request: KeyedRequest) -> Claim | IdempotencyRecord:
        """Start a request: a claim to run it, or the `done` record to replay.

        Raises Refusal `idempotency_running`, `idempotency_key_reused`.
        """
        for _ in range(3):
            try:
                async with self.storage.write() as unit:
                    return await self._begin(unit, request)
            except (AlreadyExists, Stale, Contention):
                continue
        raise _running()

    async def _begin(self, unit: Unit, request: KeyedRequest) -> Claim | IdempotencyRecord:
        now = self.clock.now()
        found = await unit.find(IDEMPOTENCY, request.key)
        if found is not None and found.expires_at > now:
            if is_replay(found, request.fingerprint, now):
                return found
            record = attrs.evolve(found, lease_until=now + request.lease, version=found.version + 1)
        else:
            record = self._fresh(request, now, 1 if found is None else found.version + 1)
        await (unit.add if found is None else unit.save)(IDEMPOTENCY, record)
        return Claim(record)

    def _fresh(self, request: KeyedRequest, now: datetime, version: int) -> IdempotencyRecord:
        return IdempotencyRecord(
            key=request.key,
            user_id=request.user_id,
            fingerprint=request.fingerprint,
            state=RUNNING,
            lease_until=now + request.lease,
            created_at=now,
            expires_at=now + self.ttl,
            version=version,
        )

    async def look(self, request: KeyedRequest) -> IdempotencyRecord | None:
        """Return the `done` record of a request without starting it. Raises Refusal as `begin`."""
        now = self.clock.now()
        async with self.storage.read() as reader:
            found = await reader.find(IDEMPOTENCY, request.key)
        if found is None or found.expires_at <= now:
            return None
        return found if is_replay(found, request.fingerprint, now) else None

    async def complete(self, unit: Unit, claim: Claim, answer: Answer, print_: str | None) -> None:
        """Make the record `done` in the unit of the effect. Raises Refusal `idempotency_running` once taken over."""
        stored = await self._own(unit, claim)
        await unit.save(IDEMPOTENCY, self._done(stored, answer, print_))

    async def renew(self, unit: Unit, claim: Claim, lease: timedelta) -> None:
        """Prolong the lease in a unit of a long request. Raises Refusal `idempotency_running` once taken over."""
        stored = await self._own(unit, claim)
        record = attrs.evolve(stored, lease_until=self.clock.now() + lease, version=stored.version + 1)
        claim.written.add((record.version, record.lease_until))
        await unit.save(IDEMPOTENCY, record)

    async def _own(self, unit: Unit, claim: Claim) -> IdempotencyRecord:
        stored = await unit.find(IDEMPOTENCY, claim.record.key)
        if stored is None or not claim.owns(stored):
            raise _running()
        return stored

    def _done(self, record: IdempotencyRecord, answer: Answer, print_: str | None) -> IdempotencyRecord:
        packed = self.seal(zlib.compress(answer.body, 1))
        if len(packed) > MAX_BODY:
            raise ValueError(f"an answer of {len(packed)} bytes cannot be kept")
        return attrs.evolve(
            record,
            state=DONE,
            fingerprint=print_ or record.fingerprint,
            status=answer.status,
            headers=tuple((name, value) for name, value in answer.headers if name in KEPT_HEADERS),
            body=packed,
            sealed=True,
            version=record.version + 1,
        )

    async def settle(self, claim: Claim, answer: Answer, print_: str | None) -> None:
        """Keep the answer of a request that changed nothing, in a unit of its own."""
        async with self.storage.write() as unit:
            await self.complete(unit, claim, answer, print_)

    async def withdraw(self, claim: Claim) -> None:
        """Forget a request that had no effect, so that it can be tried again."""
        try:
            async with self.storage.write() as unit:
                stored = await unit.find(IDEMPOTENCY, claim.record.key)
                if stored is not None and stored.state == RUNNING and claim.owns(stored):
                    await unit.remove(IDEMPOTENCY, stored)
        except StorageError:
            return

    def replay(self, record: IdempotencyRecord, secret: bool) -> Answer:
        """Return the stored answer."""
        body = zlib.decompress(self.unseal(record.body) if record.sealed else record.body)
        headers = (*record.headers, ("cache-control", NO_STORE), ("idempotency-replayed", "true"))
        return Answer(record.status or 200, body, headers, secret)


def is_replay(found: IdempotencyRecord, print_: str | None, now: datetime) -> bool:
    """Tell whether a live record answers the request; False means that its lease is over.

    Raises Refusal `idempotency_key_reused` for another request, `idempotency_running` while the first one runs.
    """
    if print_ is not None and found.fingerprint is not None and print_ != found.fingerprint:
        raise Refusal("idempotency_key_reused", "This Idempotency-Key was sent with another request.")
    if found.state == DONE:
        return True
    if found.lease_until > now:
        raise _running()
    return False


def _running() -> Refusal:
    return Refusal("idempotency_running", "The first request with this key is still running.")
