"""Answers that rest on a few rows alone, given again while every one of these is the very same (decision 31)."""

from collections.abc import Hashable
from datetime import datetime
from operator import is_
from typing import Any, Final

import attrs

from application.remembering import REMEMBERED
from domain.access.principal import Principal
from domain.ports.clock import Clock
from domain.ports.storage import QUESTIONS, Place, Questions, Storage
from entrypoints.http.answers import Answer
from entrypoints.http.exchange import Exchange

COUNTING: Final = (
    b"authorization", b"x-api-key", b"if-none-match", b"x-page-token", b"origin", b"last-event-id", b"host",
    b"user-agent", b"accept-language",
)  # fmt: skip
"""Headers that an answer may depend on."""


@attrs.frozen(slots=False)
class Kept:
    """An answer, to whom it was given, and the rows that were all that was asked of the store for it."""

    principal: Principal
    answer: Answer
    places: tuple[Place, ...]
    rows: tuple[Any, ...]

    def lives(self, now: datetime) -> bool:
        """Tell whether the credential has not ended by itself."""
        ends = self.principal.expires_at
        return ends is None or now < ends


class KeptAnswers:
    """The last answers of this process, each with what it rests on.

    Whoever asks the same again is given the same answer when the rows, read anew, are the objects that they were. A
    row of another content is another object, so that an answer is as fresh as the store.
    """

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage, self._clock = storage, clock
        self._held: dict[Hashable, Kept] = {}

    async def find(self, exchange: Exchange) -> Kept | None:
        """Return the answer to a request that came before and is answered as then. Raises StorageError."""
        kept = self._held.get(_asked(exchange))
        if kept is None or not kept.lives(self._clock.now()):
            return None
        async with self._storage.read() as reader:
            rows = await reader.find_each(*kept.places)
        return kept if all(map(is_, rows, kept.rows)) else None

    def begin(self) -> None:
        """Count what is asked of the store from here on."""
        QUESTIONS.set(Questions())

    def keep(self, exchange: Exchange, answer: Answer) -> None:
        """Keep an answer for which nothing but the rows read ahead was asked."""
        ground, questions = exchange.ahead.ground, QUESTIONS.get()
        if ground is None or exchange.principal is None or questions is None or questions.asked != 1:
            return
        asked = _asked(exchange)
        self._held.pop(asked, None)
        if len(self._held) >= REMEMBERED:
            del self._held[next(iter(self._held))]
        self._held[asked] = Kept(exchange.principal, answer, *ground)


def _asked(exchange: Exchange) -> Hashable:
    get = exchange.headers.get
    return exchange.path, exchange.query, exchange.address, exchange.repeated, *map(get, COUNTING)
