"""Work beside the requests: each worker runs until it is stopped and comes back after a crash (platform.md 12.1)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import attrs

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0


@attrs.frozen
class Worker:
    """`run` works until it is cancelled; whatever it raises is a crash."""

    name: str
    run: Callable[[], Awaitable[None]]


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
