"""Keeps the right of one instance to the cache, in the background (architecture.md 5, docs/decisions/0006)."""

import asyncio
import logging
from time import monotonic

from adapters.caching.keys import KeySpace
from adapters.caching.rights import QUIET, Rights, Row, ended
from domain.ids import new_id
from domain.ports.cache import Cache, CacheUnavailable, EpochState
from domain.ports.errors import StorageError

INTERVAL = 0.3
_log = logging.getLogger(__name__)


class Keeper:
    """Renews the right, and brings the cache back when it was lost: a new epoch, the row opened again."""

    def __init__(self, rights: Rights, cache: Cache, space: KeySpace, interval: float = INTERVAL) -> None:
        self._rights = rights
        self._ledger = rights.ledger
        self._cache = cache
        self._layout = f"{space.prefix}:{space.schema}"
        self._interval = interval
        self._stranger: tuple[str, float] | None = None
        self._reachable = True
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Try once now, and go on in the background."""
        await self._try()
        if self._task is None:
            self._task = asyncio.create_task(self._keep())

    async def aclose(self) -> None:
        """Stop, and give the right up."""
        await ended(self._task)
        self._task = None
        self._rights.lose()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._try()

    async def _try(self) -> None:
        try:
            await self._once()
        except CacheUnavailable as error:
            self._rights.lose()
            self._say(reachable=False, why=error.reason)
        except StorageError as error:
            # Without the database the right lapses by itself.
            _log.debug("the right to the cache was not renewed: %r", error)
        except Exception:
            _log.exception("the right to the cache was not renewed")

    async def _once(self) -> None:
        started = monotonic()
        row = await self._ledger.read()
        self._rights.saw(row)
        try:
            life = await self._bound()
            epoch_open = (await self._cache.epoch()).state is EpochState.OPEN
        except CacheUnavailable:
            if monotonic() - self._rights.alone_at < QUIET:
                await self._rights.close()
            raise
        self._say(reachable=True)
        if not row.open:
            await self._reopen(row, life)
        elif row.life == life and epoch_open:
            self._stranger = None
            self._rights.grant(row, started)
        else:
            await self._end(row, life)

    async def _bound(self) -> str:
        """Bind the cache to the server's run that it reaches now; return the life that this makes."""
        run = await self._cache.run()
        life = f"{self._layout}@{run}"
        if life != self._rights.life:
            self._rights.reached(life)
            self._cache.bind(run)
        return life

    async def _end(self, row: Row, life: str) -> None:
        """Close a row that serves nobody: its cache was wiped, or is at a life that this instance cannot reach.

        In the latter case others may still reach it, so they get a while to renew what they see.
        """
        self._rights.lose()
        if row.life != life:
            if self._stranger is None or self._stranger[0] != row.life:
                self._stranger = row.life, monotonic()
            if monotonic() - self._stranger[1] < QUIET:
                return
        self._stranger = None
        await self._rights.close()

    async def _reopen(self, row: Row, life: str) -> None:
        if not self._rights.may_open(row):
            return
        started = monotonic()
        opened = await self._ledger.reopen(row.generation, life, self._epoch_begun)
        if opened is not None:
            self._rights.saw(opened)
            self._rights.grant(opened, started)
            _log.info("the cache is in use from generation %d on", opened.generation)

    async def _epoch_begun(self) -> bool:
        """Make sure that an epoch is open. No writer can be under way: the gate is held, and the row is closed."""
        epoch = await self._cache.epoch()
        if epoch.state is EpochState.MISSING:
            epoch = await self._cache.quarantine(epoch, new_id())
        if epoch.state is EpochState.QUARANTINED:
            return await self._cache.begin_epoch(epoch, new_id())
        return epoch.state is EpochState.OPEN

    def _say(self, *, reachable: bool, why: str = "") -> None:
        if reachable == self._reachable:
            return
        self._reachable = reachable
        if reachable:
            _log.info("the cache answers again")
        else:
            _log.warning("the cache does not answer (%s): the database is asked instead", why)
