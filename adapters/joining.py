"""Many tasks, few round trips: what is asked for at once, or while the server is busy, is asked together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import attrs

W = TypeVar("W")
R = TypeVar("R")


@attrs.define(eq=False)
class Wish(Generic[W, R]):
    """What one task wants, and where its answer goes."""

    wanted: W
    answer: "asyncio.Future[R]"

    def settle(self, result: R) -> None:
        """Hand over the answer, unless whoever asked has gone."""
        if not self.answer.done():
            self.answer.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Hand over what went wrong, unless whoever asked has gone."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Joiner(Generic[W, R]):
    """At most `lanes` round trips at a time; wishes that come meanwhile wait, and leave together.

    `take` moves wishes that may leave together out of the queue, at least one; `grant` settles every one of them, or
    raises. An error of `everybodys` fails them all; after any other one each is tried alone, so that what one of them
    did wrong stays its own.
    """

    def __init__(
        self,
        lanes: int,
        take: Callable[[deque[Wish[W, R]]], list[Wish[W, R]]],
        grant: Callable[[list[Wish[W, R]]], Awaitable[None]],
        everybodys: tuple[type[Exception], ...],
    ) -> None:
        self._free = lanes
        self._take, self._grant, self._everybodys = take, grant, everybodys
        self._waiting: deque[Wish[W, R]] = deque()
        self._starting = False
        self._lanes: set[asyncio.Task[None]] = set()

    def ask(self, wanted: W) -> "asyncio.Future[R]":
        """Return the answer to a wish, to be awaited. It raises what granting it raises."""
        loop = asyncio.get_running_loop()
        wish: Wish[W, R] = Wish(wanted, loop.create_future())
        self._waiting.append(wish)
        if self._free and not self._starting:
            # The lane begins after all who are about to ask in this turn of the loop: they join.
            self._starting = True
            lane = loop.create_task(self._drive())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return wish.answer

    async def _drive(self) -> None:
        self._starting = False
        self._free -= 1
        try:
            while self._waiting:
                await self._together(self._take(self._waiting))
        finally:
            self._free += 1

    async def _together(self, wishes: list[Wish[W, R]]) -> None:
        try:
            await self._grant(wishes)
        except Exception as error:
            if len(wishes) > 1 and not isinstance(error, self._everybodys):
                for wish in wishes:
                    await self._together([wish])
                return
            for wish in wishes:
                wish.fail(error)
        except BaseException as error:
            for wish in wishes:
                wish.fail(error)
            raise
