"""Work beside the requests: each worker runs until it is stopped and comes back after a crash (platform.md 12.1)."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

import attrs

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@attrs.frozen
class Worker:
    """`run` works until it is cancelled; whatever it raises is a crash."""

    name: str
    run: Callable[[], Awaitable[None]]


async def keep_busy(
    slots: int,
    poll: float,
    claim: Callable[[int], Awaitable[Sequence[T]]],
    carry_out: Callable[[T], Awaitable[None]],
) -> None:
    """Carry out what `claim(free slots)` hands out, at most `slots` at a time, until cancelled.

    Where nothing is handed out it is asked again after `poll` seconds, ±20 % so that instances do not ask together.
    What runs is cancelled at the end and waited for. Raises what `claim` and `carry_out` raise.
    """
    running: set[asyncio.Future[None]] = set()
    try:
        while True:
            claimed = await claim(slots - len(running))
            running |= {asyncio.ensure_future(carry_out(one)) for one in claimed}
            if not claimed or len(running) >= slots:
                running = await _rest(running, poll * random.uniform(0.8, 1.2))  # noqa: S311 -- no secret
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def _rest(running: set[asyncio.Future[None]], pause: float) -> set[asyncio.Future[None]]:
    """Wait until a slot is free or the pause is over, and return what still runs."""
    if not running:
        await asyncio.sleep(pause)
        return running
    done, still = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return still


class Tell(Protocol):
    """Is told of a crash and of the seconds until the worker comes back."""

    def __call__(self, name: str, error: Exception, pause: float) -> None: ...


class Crew:
    """The workers of one process."""

    def __init__(self, workers: Iterable[Worker], *, first_pause: float = FIRST_PAUSE) -> None:
        self._workers = tuple(workers)
        self._first_pause = first_pause
        self._tasks: list[asyncio.Task[None]] = []
        self._resting: set[str] = set()

    @property
    def state(self) -> str:
        """`up`, `degraded` while a crashed worker rests, `off` when none runs."""
        if not self._tasks:
            return "off"
        return "degraded" if self._resting else "up"

    def start(self, tell: Tell = lambda name, error, pause: None) -> None:
        """Start every worker in the running loop."""
        self._tasks = [asyncio.create_task(self._keep(worker, tell), name=worker.name) for worker in self._workers]

    async def stop(self) -> None:
        """Cancel every worker and wait until it has let go of what it held. Idempotent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _keep(self, worker: Worker, tell: Tell) -> None:
        pause = self._first_pause
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                await worker.run()
                error: Exception = RuntimeError("the worker ended by itself")
            except Exception as crash:
                error = crash
            pause = self._first_pause if loop.time() - begun > LONGEST_PAUSE else pause
            tell(worker.name, error, pause)
            self._resting.add(worker.name)
            await asyncio.sleep(pause)
            self._resting.discard(worker.name)
            pause = min(2 * pause, LONGEST_PAUSE)
