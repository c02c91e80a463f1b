"""The bus over Redis: publish and subscribe."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

from adapters.bus import JoiningBus


class RedisBus(JoiningBus):
    """Reaches every instance that uses the same Redis with the same prefix. `timeout` in seconds, per command."""

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        super().__init__()
        self._url = url
        self._channel = f"{prefix}:wake"
        self._timeout = timeout

    @property
    def broken(self) -> tuple[type[Exception], ...]:
        return (RedisError, OSError, TimeoutError)

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        async with Redis.from_url(self._url, socket_connect_timeout=self._timeout) as link:

            async def send(message: str) -> None:
                async with asyncio.timeout(max(self._timeout, 1.0)):
                    await link.publish(self._channel, message)

            yield send

    async def _hearing(self) -> None:
        async with (
            Redis.from_url(self._url, socket_connect_timeout=self._timeout, socket_timeout=None) as link,
            link.pubsub(ignore_subscribe_messages=True) as channel,
        ):
            await channel.subscribe(self._channel)
            async for message in channel.listen():
                self.hear(message["data"])
