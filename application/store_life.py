"""From a configured store to one that can be used: server, schema, data key (platform.md 12.1, identifiers.md 6)."""

import asyncio
import secrets

import attrs

from domain.access.principal import system
from domain.act import Act
from domain.identifiers.personal import (
    DataKeyLocked,
    IdentifierKeys,
    new_data_key,
    unwrap_data_key,
    wrap_data_key,
)
from domain.ids import new_id
from domain.ports.backing import Backing, SchemaBehind, StoreRefused
from domain.ports.clock import Clock
from domain.ports.errors import AlreadyExists, Contention, Stale, StorageError
from domain.ports.schema import STORE
from domain.ports.storage import Storage, Unit, rerun
from domain.store import StoreRecord

STORE_KEY = "store"
"""The key of the one record a store keeps of itself."""


@attrs.frozen
class RootKeys:
    """DEFARM_SECRET_KEY, and DEFARM_SECRET_KEY_PREVIOUS while it rotates."""

    current: bytes = attrs.field(repr=False)
    previous: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class StoreLife:
    """Opens a store and closes it again."""

    backing: Backing
    storage: Storage
    clock: Clock
    roots: RootKeys
    migrate: bool = True

    async def open(self) -> IdentifierKeys:
        """Make the store usable and return the keys of its personal identifiers.

        May be called again after Unavailable and SchemaBehind. Raises StoreRefused and StoreBroken when that
        would not help, among them a root key that does not open the store's data key.
        """
        if self.migrate:
            await self.migrated()
        else:
            await self.backing.connect()
            if pending := (await self.backing.schema()).pending:
                raise SchemaBehind(f"the schema waits for {', '.join(pending)}: run `defarm migrate`")
            await self.backing.open()
        return IdentifierKeys(await self._data_key())

    async def migrated(self) -> tuple[str, ...]:
        """Connect, migrate, open, leave an audit entry if anything was applied, and return its names."""
        await self.backing.connect()
        applied = await self.backing.migrate()
        await self.backing.open()
        if applied:
            async with self.storage.write() as unit:
                act = Act(unit, system(), self.clock.now())
                await act.audit("system.migrated", ("store", STORE_KEY), details={"migrations": list(applied)})
        return applied

    async def keep(self, every: float = 1.0) -> None:
        """Bring our own server up again whenever it is gone; works until cancelled. Raises as `Backing.connect`."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.storage.ping()
            except StorageError:
                await self.backing.connect()

    async def aclose(self) -> None:
        """Let go of the storage and of what stands behind it."""
        try:
            await self.storage.aclose()
        finally:
            await self.backing.aclose()

    async def _data_key(self) -> bytes:
        async def attempt() -> bytes:
            async with self.storage.write() as unit:
                return await self._found_or_made(unit)

        try:
            return await rerun(attempt, again=(Contention, Stale, AlreadyExists))
        except DataKeyLocked as error:
            raise StoreRefused(str(error)) from error

    async def _found_or_made(self, unit: Unit) -> bytes:
        record = await unit.find(STORE, STORE_KEY)
        if record is None:
            key = new_data_key()
            await unit.add(STORE, self._new_record(key))
            return key
        if record.copying is not None:
            raise StoreRefused(
                "this store holds a copy that was not completed: go on with `defarm storage copy --resume`"
                " (or `storage restore --resume`), or empty the database"
            )
        try:
            return unwrap_data_key(self.roots.current, record.wrapped_data_key)
        except DataKeyLocked:
            if self.roots.previous is None:
                raise
        key = unwrap_data_key(self.roots.previous, record.wrapped_data_key)
        wrapped = wrap_data_key(self.roots.current, key)
        await unit.save(STORE, attrs.evolve(record, wrapped_data_key=wrapped, version=record.version + 1))
        return key

    def _new_record(self, key: bytes) -> StoreRecord:
        return StoreRecord(
            store_key=STORE_KEY,
            store_id=new_id(),
            wrapped_data_key=wrap_data_key(self.roots.current, key),
            created_at=self.clock.now(),
            setup_value=secrets.token_hex(32),
        )
