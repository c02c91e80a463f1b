"""Behind the memory store stands nothing but the process."""

from adapters.memory.storage import MemoryStorage
from domain.ports.backing import Schema


class MemoryBacking:
    """Always there, never behind, gone with the process."""

    mode = "memory"

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    async def connect(self) -> None:
        return None

    async def schema(self) -> Schema:
        return Schema(0, 0)

    async def migrate(self) -> tuple[str, ...]:
        return ()

    async def open(self) -> None:
        return None

    async def facts(self) -> None:
        return None

    async def aclose(self) -> None:
        await self._storage.aclose()
