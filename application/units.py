"""Running use cases: one unit each, run again when it lost a race."""

from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import TypeVar

import attrs

from application.ahead import NOTHING_AHEAD, Ahead
from application.completion import complete
from domain.access.principal import Principal
from domain.act import Act
from domain.errors import Refusal
from domain.items.dfid import format_dfid
from domain.ports.bus import SILENT, Announcer, Wake
from domain.ports.clock import Clock
from domain.ports.errors import AlreadyExists, Contention, Stale
from domain.ports.storage import Storage, rerun

R = TypeVar("R")

FREE = frozenset({"chains", "events", "value_counters"})
"""Facets on which losing a race does not count (items-events.md 3.5)."""


@attrs.define
class DfidSource:
    """Takes DFID numbers from the store in blocks, so that most items cost no extra transaction.

    A block belongs to one UTC day and one process; what is left when the day changes is lost
    (items-events.md 2).
    """

    storage: Storage
    clock: Clock
    block: int = 100
    _day: str = ""
    _numbers: deque[int] = attrs.field(factory=deque)

    async def take(self, count: int) -> list[str]:
        """Return `count` DFIDs that nobody else gets."""
        day = self.clock.now().astimezone(UTC).strftime("%Y%m%d")
        if day != self._day:
            self._day, self._numbers = day, deque()
        while len(self._numbers) < count:
            missing = count - len(self._numbers)
            taken = await self.storage.take_numbers(day, max(missing, self.block))
            if day == self._day:
                self._numbers.extend(taken)
            elif len(taken) >= count:
                return [format_dfid(day, number) for number in taken[:count]]
        return [format_dfid(day, self._numbers.popleft()) for _ in range(count)]


@attrs.define
class Units:
    """Opens the units of the application services."""

    storage: Storage
    clock: Clock
    dfids: DfidSource
    bus: Announcer = SILENT

    async def perform(
        self,
        principal: Principal,
        work: Callable[[Act], Awaitable[R | Refusal]],
        *,
        dfids: int = 0,
        ahead: Ahead = NOTHING_AHEAD,
        completes: bool = True,
    ) -> R:
        """Run `work` in one unit with `dfids` numbers at hand and return its result once it is committed.

        A Refusal that `work` raises leaves nothing; one that it returns is raised once what it staged is
        committed. It runs again with fresh facts when it lost a race, at most 5 times. Raises Contention after
        that. What was read `ahead` is known to the first attempt: it is as good as what a unit reads itself, for a unit
        confirms what it relies on. `completes` is False for the units of a request before its last one.
        """

        async def attempt() -> R | Refusal:
            numbers = await self.dfids.take(dfids) if dfids else []
            async with self.storage.write() as unit:
                unit.know(ahead.hand_over())
                act = Act(unit, principal, self.clock.now(), iter(numbers))
                result = await work(act)
                if completes and not isinstance(result, Refusal):
                    await complete(unit, result)
            if act.told:
                self.bus.publish(Wake(tuple(sorted(act.told))))
            return result

        try:
            result = await rerun(attempt, again=(Contention, Stale, AlreadyExists), free=FREE)
        except (Stale, AlreadyExists) as error:
            raise Contention("the operation lost its races") from error
        if isinstance(result, Refusal):
            raise result
        return result
