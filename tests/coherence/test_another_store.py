"""A cache that was another store's before (docs/decisions/0019)."""

from domain.ports.schema import MEMBERSHIPS
from tests.coherence.instances import cached_storage, in_use, membership
from tests.servers import PostgresServer, RedisServer

KEY = ("c", "u0")


async def test_a_store_never_reads_what_another_one_left_in_its_redis(
    postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    redis_server.flush()
    before, after = postgres_server.create_migrated_database(), postgres_server.create_migrated_database()
    old = await cached_storage(before, redis_server.url, timeout=5.0)
    await in_use(old)
    async with old.write() as unit:
        await unit.add(MEMBERSHIPS, membership(KEY))
    async with old.read() as reader:
        assert await reader.find(MEMBERSHIPS, KEY) is not None
    await old.aclose()

    new = await cached_storage(after, redis_server.url, timeout=5.0)
    await in_use(new)
    async with new.read() as reader:
        assert await reader.find(MEMBERSHIPS, KEY) is None
    await new.aclose()
    for url in (before, after):
        postgres_server.drop_database(url)
