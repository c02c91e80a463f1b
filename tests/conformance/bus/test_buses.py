"""What a bus between processes promises, whatever carries it (platform.md 8.5)."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import attrs
import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from adapters.bus import MOST_USERS, MOST_WAITING, JoiningBus
from adapters.postgres.bus import PostgresBus
from adapters.redis.bus import RedisBus
from domain.ports.bus import Wake
from tests.conformance.storage.link import Link, Mode
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server

Start = Callable[[], Awaitable["Instance"]]
QUIET = 0.3


@attrs.define
class Instance:
    """A running bus, and what it heard."""

    bus: JoiningBus
    heard: list[Wake] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.bus.listen(self.heard.append)

    @property
    def users(self) -> list[str]:
        return [user for wake in self.heard for user in wake.user_ids]

    async def hears(self, user: str, *tellers: "Instance", within: float = 10) -> None:
        """Let others tell it until it has heard: who tells while a link is made anew tells nobody."""
        async with asyncio.timeout(within):
            while user not in self.users:
                for teller in tellers:
                    teller.bus.publish(Wake((user,)))
                await asyncio.sleep(0.05)


@attrs.define
class Place:
    """A real server, and buses over it."""

    kind: str
    server: PostgresServer | RedisServer
    prefix: str

    def bus(self, url: str | None = None) -> JoiningBus:
        address = url or self.server.url
        if self.kind == "redis":
            return RedisBus(address, self.prefix, 0.5, QUIET)
        return PostgresBus(lambda: address, QUIET)

    def links(self) -> int:
        """Return how many connections the server has besides the one that asks."""
        if self.kind == "redis":
            with redis.Redis.from_url(self.server.url) as client:
                return len(client.client_list()) - 1
        with psycopg.connect(self.server.url) as connection:
            query = "select count(*) from pg_stat_activity where backend_type = 'client backend'"
            return int((connection.execute(query).fetchone() or (0,))[0]) - 1

    async def through(self) -> tuple[Link, str]:
        """Return a link that can be hurt and the URL of the server behind it."""
        if self.kind == "postgres":
            link = await Link(self.server.url).start()
            return link, link.url
        address = urlsplit(self.server.url)
        link = await Link(f"host={address.hostname} port={address.port}").start()
        return link, f"redis://127.0.0.1:{conninfo_to_dict(link.url)['port']}/0"


@pytest.fixture(scope="module", params=["redis", "postgres"])
def machine(request: pytest.FixtureRequest) -> Iterator[tuple[str, PostgresServer | RedisServer]]:
    kind = str(request.param)
    server = redis_server(private=True) if kind == "redis" else postgres_server(private=True)
    with server:
        yield kind, server


@pytest.fixture
def place(machine: tuple[str, PostgresServer | RedisServer]) -> Place:
    kind, server = machine
    return Place(kind, server, f"test-{secrets.token_hex(4)}")


@pytest.fixture
async def start(place: Place) -> AsyncIterator[Callable[..., Awaitable[Instance]]]:
    """Runs buses of several instances, and ends them."""
    async with AsyncExitStack() as stack:

        async def one(url: str | None = None) -> Instance:
            instance = Instance(place.bus(url))
            task = asyncio.create_task(instance.bus.run())
            stack.push_async_callback(asyncio.wait, {task})
            stack.callback(task.cancel)
            return instance

        yield one


async def connected(*instances: Instance) -> None:
    """Wait until each hears every other."""
    for one in instances:
        for other in instances:
            if one is not other:
                await one.hears(f"to {id(one)} from {id(other)}", other)
    await asyncio.sleep(0.1)
    for one in instances:
        one.heard.clear()


async def test_what_one_instance_tells_all_others_hear_once_and_itself_at_once(start: Start) -> None:
    one, two, three = await start(), await start(), await start()
    await connected(one, two, three)
    begun = time.monotonic()
    one.bus.publish(Wake(("ana",)))
    assert one.users == ["ana"]
    async with asyncio.timeout(5):
        while not (two.heard and three.heard):
            await asyncio.sleep(0.005)
    assert time.monotonic() - begun < 1
    await asyncio.sleep(0.1)
    assert [each.users for each in (one, two, three)] == [["ana"]] * 3


async def test_wake_ups_of_one_moment_travel_together_and_hints_on_their_own(start: Start) -> None:
    one, two = await start(), await start()
    await connected(one, two)
    users = [f"u{number:03d}" for number in range(MOST_USERS + 1)]
    for user in users:
        one.bus.publish(Wake((user,)))
    read = Wake(("ana",), read_up_to=7)
    one.bus.publish(read)
    async with asyncio.timeout(5):
        while read not in two.heard:
            await asyncio.sleep(0.005)
    assert [len(wake.user_ids) for wake in two.heard] == [MOST_USERS, 1, 1]
    assert two.users == [*users, "ana"]


@pytest.mark.parametrize("machine", ["redis"], indirect=True)
async def test_nobody_hears_another_deployment_on_the_same_redis(place: Place, start: Start) -> None:
    one, two = await start(), await start()
    await connected(one, two)
    place.prefix = f"other-{secrets.token_hex(4)}"
    stranger, other = await start(), await start()
    await connected(stranger, other)
    assert (one.heard, two.heard) == ([], [])


async def test_a_server_that_dies_and_comes_back_carries_again_and_nobody_waits_meanwhile(
    place: Place, start: Start
) -> None:
    one, two = await start(), await start()
    await connected(one, two)
    place.server.kill()
    try:
        begun = time.monotonic()
        for number in range(3 * MOST_WAITING):
            one.bus.publish(Wake((f"lost {number}",)))
        assert time.monotonic() - begun < 1
        assert len(one.heard) == 3 * MOST_WAITING, "the own streams hear at once"
        await asyncio.sleep(1.5)
        assert (one.bus.state, two.bus.state) == ("degraded", "degraded")
    finally:
        await asyncio.to_thread(place.server.start)
    await two.hears("after", one, within=20)
    await one.hears("back", two, within=20)
    assert (one.bus.state, two.bus.state) == ("up", "up")


async def test_a_frozen_server_holds_nobody_up_and_carries_again(place: Place, start: Start) -> None:
    one, two = await start(), await start()
    await connected(one, two)
    with place.server.paused():
        begun = time.monotonic()
        one.bus.publish(Wake(("ana",)))
        assert time.monotonic() - begun < 0.1
        await asyncio.sleep(3 * QUIET)
        assert (one.bus.state, two.bus.state) == ("degraded", "degraded")
    await two.hears("after", one)
    await one.hears("back", two)


async def test_a_connection_that_the_network_has_forgotten_is_noticed_and_made_again(
    place: Place, start: Callable[..., Awaitable[Instance]]
) -> None:
    link, url = await place.through()
    try:
        one, two = await start(), await start(url)
        await connected(one, two)
        with link.mode(Mode.STALE):
            pass
        one.bus.publish(Wake(("lost",)))
        await asyncio.sleep(0.1)
        assert two.heard == []
        await two.hears("after", one)
        await one.hears("back", two)
    finally:
        await link.aclose()


async def test_a_bus_that_ends_leaves_no_task_and_no_connection(place: Place) -> None:
    before, links = asyncio.all_tasks(), place.links()
    assert place.bus().state == "degraded"
    one, two = Instance(place.bus()), Instance(place.bus())
    for _ in range(3):
        running = [asyncio.create_task(each.bus.run()) for each in (one, two)]
        await connected(one, two)
        assert place.links() > links
        for task in running:
            task.cancel()
        await asyncio.wait(running)
    assert asyncio.all_tasks() == before
    async with asyncio.timeout(5):
        while place.links() > links:
            await asyncio.sleep(0.02)
