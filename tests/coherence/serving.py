"""`python -m tests.coherence.serving --port N`: `defarm serve` that dies when it is told to, at the worst moment.

While the file `TRAP` exists, the process kills itself with SIGKILL after a commit, before it takes its marks away; the
file is removed first, so that one of several instances dies. With `CONTROL` set, the protocol is replaced by the usual
one: rows are cached behind the read, and deleted after the commit.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from adapters.caching.storage import CachedBackend
from adapters.changes import Changes
from adapters.postgres.codec import decode, encode
from adapters.staging import Found, Wanted
from domain.ports.cache import Outcome
from domain.ports.schema import CIRCUITS, FACET_BY_NAME, ITEMS, Facet, Key
from entrypoints.cli.main import run

TRAP = "DEFARM_TEST_TRAP"
CONTROL = "DEFARM_TEST_CONTROL"
CACHED = (ITEMS.name, CIRCUITS.name)
SLOW_FILL = 0.25
"""Seconds that a reader of the control may take to cache what it has read: time for others to commit and delete."""


def set_trap(trap: Path) -> None:
    """Let the process die between a commit and the end of its marks, once `trap` exists."""
    unmark = CachedBackend._unmark

    async def trapped(self: CachedBackend, token: str, outcomes: Mapping[str, Outcome]) -> None:
        if any(outcomes.values()) and trap.exists():
            trap.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        await unmark(self, token, outcomes)

    CachedBackend._unmark = trapped  # type: ignore[method-assign]


def delete_after_commit(url: str) -> None:
    """Replace the protocol by the one that everybody writes first."""
    clients: list[Any] = []
    filling: set[asyncio.Task[None]] = set()

    def redis() -> Any:
        if not clients:
            clients.append(Redis.from_url(url))
        return clients[0]

    def name(facet: Facet[Any], key: Key) -> str:
        return f"aside:{facet.name}:{key!r}"

    async def fill(name: str, body: str) -> None:
        await asyncio.sleep(random.uniform(0, SLOW_FILL))
        await redis().set(name, body)

    async def fetch(self: CachedBackend, facet: Facet[Any], keys: list[Key]) -> dict[Key, Any]:
        if facet.name not in CACHED:
            return await self.backend.fetch(facet, keys)
        held = {key: await redis().get(name(facet, key)) for key in keys}
        rows = {key: decode(facet.value, body) for key, body in held.items() if body}
        missed = [key for key in keys if key not in rows]
        loaded = await self.backend.fetch(facet, missed) if missed else {}
        for key, row in loaded.items():
            task = asyncio.create_task(fill(name(facet, key), encode(row)))
            filling.add(task)
            task.add_done_callback(filling.discard)
        return rows | loaded

    async def fetch_each(self: CachedBackend, wanted: Wanted) -> Found:
        return {name: await fetch(self, FACET_BY_NAME[name], keys) for name, keys in wanted.items()}

    async def commit(self: CachedBackend, changes: Changes) -> None:
        await self.backend.commit(changes)
        for change in changes:
            for key in (*change.saves, *change.removes, *change.adds):
                await redis().delete(name(change.facet, key))

    CachedBackend.fetch = fetch  # type: ignore[method-assign]
    CachedBackend.fetch_each = fetch_each  # type: ignore[method-assign]
    CachedBackend.commit = commit  # type: ignore[method-assign]


if __name__ == "__main__":
    if os.environ.get(CONTROL):
        delete_after_commit(os.environ["REDIS_URL"])
    elif trap := os.environ.get(TRAP):
        set_trap(Path(trap))
    sys.argv.insert(1, "serve")
    sys.exit(run())
