"""A worker comes back after a crash and is visible while it rests."""

import asyncio

from application.workers import Crew, Worker


async def test_a_crashed_worker_comes_back_with_longer_pauses() -> None:
    runs = 0
    told: list[tuple[str, str, float]] = []
    working = asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ValueError(f"crash {runs}")
        working.set()
        await asyncio.Event().wait()

    crew = Crew([Worker("outbox", run)], first_pause=0.01)
    assert crew.state == "off"
    crew.start(lambda name, error, pause: told.append((name, str(error), pause)))
    assert crew.state == "up"
    await asyncio.wait_for(working.wait(), 5)
    assert told == [("outbox", "crash 1", 0.01), ("outbox", "crash 2", 0.02)]
    assert crew.state == "up"
    await crew.stop()
    assert crew.state == "off"


async def test_a_worker_that_rests_degrades_the_crew_and_can_be_stopped() -> None:
    resting = asyncio.Event()

    async def run() -> None:
        raise ValueError

    crew = Crew([Worker("outbox", run)], first_pause=60)
    crew.start(lambda name, error, pause: resting.set())
    await asyncio.wait_for(resting.wait(), 5)
    await asyncio.sleep(0)
    assert crew.state == "degraded"
    await crew.stop()


async def test_a_stopped_worker_lets_go_of_what_it_holds() -> None:
    held = True
    begun = asyncio.Event()

    async def run() -> None:
        nonlocal held
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            held = False

    crew = Crew([Worker("outbox", run)])
    crew.start()
    await begun.wait()
    await crew.stop()
    assert not held
    await crew.stop()
