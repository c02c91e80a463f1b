"""Rate limits counted in this process."""

from limits.aio.storage import MemoryStorage

from adapters.counting import BlockCounter
from domain.ports.limits import Policies


class MemoryRateLimiter(BlockCounter):
    """The limiter port in memory; what has expired is dropped with later hits."""

    degraded = False

    def __init__(self, policies: Policies) -> None:
        super().__init__(policies, MemoryStorage())

    async def aclose(self) -> None:
        """Nothing is held."""
