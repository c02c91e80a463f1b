"""The short form of `python -m tests.coherence`: serving processes, everything beneath them hurt, answers checked."""

from collections.abc import Iterator

import pytest

from tests.coherence.soak import (
    an_instance_dies_between_commit_and_unmark,
    redis_is_frozen,
    redis_is_killed_and_returns_empty,
    redis_returns_with_an_old_snapshot,
    soaking,
)
from tests.servers import PostgresServer, RedisServer, redis_server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


async def test_no_answer_of_three_instances_is_stale_and_no_write_is_lost_whatever_breaks(
    postgres_server: PostgresServer, redis: RedisServer
) -> None:
    faults = (
        an_instance_dies_between_commit_and_unmark,
        redis_is_frozen,
        redis_returns_with_an_old_snapshot,
        redis_is_killed_and_returns_empty,
    )
    async with soaking(postgres_server, redis, 3) as soak:
        await soak.round(9.0, faults)
        found = soak.verdict
    assert not found.violations and not found.errors, str(found)
    assert sum(found.faults.values()) == len(faults), str(found)
    assert found.counts["reads"] > 100 and found.counts["writes done"] > 10, str(found)


async def test_the_same_check_finds_out_a_cache_whose_keys_are_deleted_after_the_commit(
    postgres_server: PostgresServer, redis: RedisServer
) -> None:
    async with soaking(postgres_server, redis, 2, control=True) as soak:
        found = await soak.caught(60.0)
    assert found.violations and not found.errors, str(found)
