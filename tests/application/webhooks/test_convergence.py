"""A consumer that applies deliveries by id ends with what a list shows, whatever fails on the way (scenario 42)."""

import asyncio
import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.storage import MemoryStorage
from application.circuits.requests import PlacementFilter
from application.passwords import Passwords
from application.webhooks import Courier
from domain.access.principal import Principal
from domain.webhooks.values import DeliveryStatus
from tests.application.webhooks.conftest import Post, made_post
from tests.application.webhooks.receiver import DROP, OK, Receiver, Request, receiving, status

APPLIED, LOST_ANSWER, FAILED, AWAY = "applied", "lost answer", "failed", "away"

steps = st.lists(
    st.one_of(
        st.sampled_from(
            ["push", "push again", "withdraw", "deliver", "two deliver", "replay", "restart", "worker dies"]
        ),
        st.lists(st.sampled_from([APPLIED, LOST_ANSWER, FAILED, AWAY]), min_size=1, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=12,
)


class Consumer:
    """Applies each message once, by the id of its delivery, and of one item the latest by its timestamp.

    `moods` says how the next requests end.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.moods: list[str] = []
        self.seen: set[str] = set()
        self.applied: list[tuple[str, str]] = []
        self.latest: dict[str, tuple[str, str]] = {}
        receiver.answer = self.answer

    @property
    def present(self) -> set[str]:
        """The items that are in the circuit, as far as the consumer was told."""
        return {dfid for dfid, (_, kind) in self.latest.items() if kind == "item_pushed"}

    def answer(self, request: Request) -> bytes:
        mood = self.moods.pop(0) if self.moods else APPLIED
        if mood in (FAILED, AWAY):
            return status(500) if mood == FAILED else DROP
        if request.headers["webhook-id"] not in self.seen:
            self.seen.add(request.headers["webhook-id"])
            message = json.loads(request.body)
            dfid, what = message["data"]["dfid"], (message["timestamp"], message["type"])
            self.applied.append((dfid, message["type"]))
            self.latest[dfid] = max(what, self.latest.get(dfid, what))
        return DROP if mood == LOST_ANSWER else OK


async def run(program: list[str | tuple[str, ...]], passwords: Passwords) -> None:
    post = made_post(MemoryStorage(), passwords)
    owner = await post.world.user("ana")
    circuit_id = (await post.world.circuit(owner)).circuit_id
    happened: list[tuple[str, str]] = []
    async with receiving() as receiver:
        consumer = Consumer(receiver)
        await post.hook(owner, circuit_id, receiver.url)
        for step in program:
            match step:
                case "push" | "push again":
                    gone = {dfid for dfid, _ in happened} - await _listed(post, owner, circuit_id)
                    dfid = min(gone) if gone and step == "push again" else await post.world.item(owner)
                    await post.world.circuits.push(owner, circuit_id, dfid)
                    happened.append((dfid, "item_pushed"))
                case "withdraw":
                    for dfid in sorted(await _listed(post, owner, circuit_id))[:1]:
                        await post.world.circuits.withdraw(owner, circuit_id, dfid)
                        happened.append((dfid, "item_withdrawn"))
                case "deliver":
                    await post.work()
                case "two deliver":
                    other = Courier(post.courier.units, post.courier.vault, post.courier.poster)
                    await asyncio.gather(post.work(), other.drain())
                case "worker dies":
                    await post.relay.drain()
                    await post.courier._claim(4)
                case "restart":
                    old = post.courier
                    post.courier = Courier(old.units, old.vault, old.poster)
                case "replay":
                    for one in await post.deliveries(owner, circuit_id):
                        if one.status in (DeliveryStatus.DELIVERED, DeliveryStatus.DEAD):
                            await post.webhooks.replay(owner, circuit_id, one.delivery_id)
                case moods:
                    consumer.moods = list(moods)
        consumer.moods = []
        await _until_quiet(post)
        assert sorted(consumer.applied) == sorted(happened)
        assert consumer.present == await _listed(post, owner, circuit_id)
        assert {one.status for one in await post.deliveries(owner, circuit_id)} <= {DeliveryStatus.DELIVERED}


async def _listed(post: Post, who: Principal, circuit_id: str) -> set[str]:
    page = await post.world.circuits.placements(who, circuit_id, PlacementFilter(), limit=200)
    return {placement.dfid for placement in page.items}


async def _until_quiet(post: Post) -> None:
    for _ in range(3):
        await post.work()
        post.world.clock.pass_by(timedelta(days=1))
    await post.work()


@settings(max_examples=25, deadline=None)
@given(steps)
def test_scenario_42_the_consumer_converges_under_failures_duplicates_and_restarts(
    passwords: Passwords, program: list[str | tuple[str, ...]]
) -> None:
    asyncio.run(run(program, passwords))
