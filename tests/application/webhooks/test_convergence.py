"""A consumer that applies deliveries by id ends with what happened, whatever fails on the way (scenario 42)."""

import asyncio
import json
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.storage import MemoryStorage
from application.passwords import Passwords
from application.webhooks import Courier
from domain.webhooks.values import DeliveryStatus
from tests.application.webhooks.conftest import Post, made_post
from tests.application.webhooks.receiver import DROP, OK, Receiver, Request, receiving, status

APPLIED, LOST_ANSWER, FAILED = "applied", "lost answer", "failed"

steps = st.lists(
    st.one_of(
        st.sampled_from(["push", "deliver", "replay", "restart", "worker dies"]),
        st.lists(st.sampled_from([APPLIED, LOST_ANSWER, FAILED]), min_size=1, max_size=4).map(tuple),
    ),
    min_size=1,
    max_size=12,
)


class Consumer:
    """Applies each message once, by the id of its delivery. `moods` says how the next requests end."""

    def __init__(self, receiver: Receiver) -> None:
        self.moods: list[str] = []
        self.seen: set[str] = set()
        self.applied: list[str] = []
        receiver.answer = self.answer

    def answer(self, request: Request) -> bytes:
        mood = self.moods.pop(0) if self.moods else APPLIED
        if mood == FAILED:
            return status(500)
        if request.headers["webhook-id"] not in self.seen:
            self.seen.add(request.headers["webhook-id"])
            self.applied.append(json.loads(request.body)["data"]["dfid"])
        return DROP if mood == LOST_ANSWER else OK


async def run(program: list[str | tuple[str, ...]], passwords: Passwords) -> None:
    post = made_post(MemoryStorage(), passwords)
    owner = await post.world.user("ana")
    circuit_id = (await post.world.circuit(owner)).circuit_id
    pushed: list[str] = []
    async with receiving() as receiver:
        consumer = Consumer(receiver)
        await post.hook(owner, circuit_id, receiver.url)
        for step in program:
            match step:
                case "push":
                    pushed.append(await post.world.item(owner))
                    await post.world.circuits.push(owner, circuit_id, pushed[-1])
                case "deliver":
                    await post.work()
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
        assert sorted(consumer.applied) == sorted(pushed)
        assert {one.status for one in await post.deliveries(owner, circuit_id)} <= {DeliveryStatus.DELIVERED}


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
