"""The storage port over PostgreSQL with the working set in memory, for one process."""

import logging
from collections.abc import Callable, Sequence

import attrs

from adapters.postgres.storage import Address, PostgresBackend, PostgresBounds
from adapters.postgres.writers import Entry, own_kind
from adapters.staging import StagedStorage
from adapters.write_through.backend import WriteThroughBackend
from adapters.write_through.behind import BehindBounds, WriteBehindBackend
from adapters.write_through.front import Front
from adapters.write_through.preload import Progress, preload, tell
from adapters.write_through.rows import WORKING_SET, Kept
from adapters.write_through.tenure import Tenure

_log = logging.getLogger(__name__)


class WriteThroughStorage(StagedStorage):
    """The storage port over PostgreSQL with the working set in memory, for the one process that writes.

    With `skip_items` what grows with the items is loaded as it is asked for. Lists other than those of the working
    set are PostgreSQL's. With `behind` units are acknowledged before PostgreSQL has them.
    """

    backend: WriteThroughBackend | WriteBehindBackend

    def __init__(
        self,
        url: Address,
        bounds: PostgresBounds,
        *,
        skip_items: bool = False,
        working_set: Sequence[Kept] = WORKING_SET,
        told: Callable[[Progress], None] = tell,
        backend: PostgresBackend | None = None,
        behind: BehindBounds | None = None,
        drain: float = 10.0,
    ) -> None:
        self._url = url
        self._told = told
        self._working_set = working_set
        self._skip_items = skip_items
        self._drain = drain
        inner = backend or PostgresBackend(url, bounds, Entry(own_kind()))
        # A busy pool must not cost the proof that the store is ours.
        self._proof = PostgresBackend(url, attrs.evolve(bounds, pool_min=1, pool_max=1), inner.entry)
        self.tenure = Tenure(self._proof)
        self._inner = inner
        self.through = WriteThroughBackend(inner, Front(working_set), self.tenure)
        self.behind = None if behind is None else WriteBehindBackend(self.through, behind)
        super().__init__(self.behind or self.through)

    @property
    def front(self) -> Front:
        """What is held in memory."""
        return self.through.front

    async def open(self) -> None:
        """Take hold of the store and load the working set.

        Raises WriterRefused when another engine writes to the store, Unavailable when it does not answer; may be
        called again after that.
        """
        await self._proof.open()
        await self.tenure.begin()
        await self._inner.open()
        self.tenure.keep()
        held = self.front.rows
        skipped = {kept.facet.name for kept in self._working_set if self._skip_items and kept.with_items}
        wanted = [rows for name, rows in held.items() if not rows.complete and name not in skipped]
        if wanted:
            await preload(self._url if isinstance(self._url, str) else self._url(), wanted, self._told)

    async def aclose(self) -> None:
        if not self._closed:
            left = 0 if self.behind is None else await self.behind.drain(self._drain)
            if left:
                _log.error("%d acknowledged units are lost: PostgreSQL did not take them in time", left)
            await self.tenure.end()
        await super().aclose()
        await self._proof.aclose()
