"""The bus over the publish and subscribe of Redis."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio.client import PubSub, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from adapters.bus import QUIET, JoiningBus


class RedisBus(JoiningBus):
    """Reaches every instance that uses the same Redis with the same prefix. `timeout` in seconds, per command."""

    def __init__(self, url: str, prefix: str, timeout: float, quiet: float = QUIET) -> None:
        super().__init__(quiet)
        self._url = url
        self._channel = f"{prefix}:wake"
        self._timeout = timeout

    @property
    def broken(self) -> tuple[type[Exception], ...]:
        return (RedisError, OSError, TimeoutError)

    def _link(self) -> Redis:
        patience = max(self._timeout, 1.0)
        return Redis.from_url(
            self._url, socket_connect_timeout=patience, socket_timeout=patience, retry=Retry(NoBackoff(), 0)
        )

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        async with self._link() as link:

            async def send(message: str) -> None:
                await link.publish(self._channel, message)

            yield send

    async def _hearing(self) -> None:
        async with self._link() as link, link.pubsub() as channel:
            await channel.subscribe(self._channel)
            with self.linked("hearing"):
                await self._listening(channel)

    async def _listening(self, channel: PubSub) -> None:
        asked = False
        while True:
            # What was dropped on the way is silent like a server that has nothing to tell.
            message = await channel.get_message(timeout=self.quiet)
            if message is not None:
                asked = False
                if message["type"] == "message":
                    self.hear(message["data"])
            elif asked:
                raise TimeoutError
            else:
                await channel.ping()
                asked = True
