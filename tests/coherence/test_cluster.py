"""The promise holds over a Redis cluster, also while one of its nodes dies and comes back with nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.caching.storage import CachedStorage
from tests.coherence.instances import Watch, cached_storage, in_use
from tests.servers import RedisCluster


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    servers = RedisCluster()
    yield servers
    servers.remove()


@pytest.fixture
async def instances(migrated_url: str, cluster: RedisCluster) -> AsyncIterator[list[CachedStorage]]:
    made = [await cached_storage(migrated_url, node.url, cluster=True) for node in cluster.nodes[:2]]
    yield made
    for storage in made:
        await storage.aclose()


async def test_no_read_is_stale_while_a_node_of_the_cluster_dies_and_returns_empty(
    instances: list[CachedStorage], cluster: RedisCluster
) -> None:
    for storage in instances:
        await in_use(storage)
    watch = Watch(list(instances))
    await watch.prepare()
    load = asyncio.create_task(watch.run(120.0, pause=0.01))
    async with asyncio.timeout(60):
        while any(storage.cache.stats().hits < 50 for storage in instances):
            await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(cluster.nodes[0].kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(cluster.nodes[0].start)
    await asyncio.sleep(4.0)
    watch.stop()
    await load
    assert not watch.stale
    await asyncio.to_thread(cluster.settle)
    for storage in instances:
        await in_use(storage, 20)
