"""What `defarm doctor` looks at besides: instances, work left behind, proofs (platform.md 13.4)."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import perf_counter

from application.admin.statistics import serving
from application.audit.service import asked
from application.events.verifying import check_chains
from application.measuring import outbox as outbox_measures
from application.settings import Settings
from container import Container, close, container_of
from domain.audit.sequencing import newest
from domain.ids import new_id
from domain.ports.bus import Bus, Wake
from domain.ports.queries import Select
from domain.ports.schema import AUDIT, CHAINS
from domain.ports.storage import Reader
from domain.statistics import Instance
from entrypoints.cli.findings import Found, Level, opened_store

CHAINS_CHECKED = 100
MOST_NAMED = 5
TRIES = 20
OLDEST_WORK = 300.0
OLDEST_UNSEQUENCED = 60.0


async def instances(container: Container) -> AsyncIterator[Found]:
    """Look at what the instances that serve now must share, as each of them announces it."""
    await opened_store(container)
    async with container.storage().read() as reader:
        found = await serving(reader, container.clock().now())
    if len(found) < 2:
        yield Level.OK, "One process serves." if found else "Nothing serves at the moment.", ""
        for each in _alone(container.settings()):
            yield each
        return
    yield _limiters(found)
    yield _carriers(found)
    if len(releases := sorted({each.release for each in found})) > 1:
        yield Level.WARN, f"Releases {', '.join(releases)} serve together.", "End the rolling change."


def _alone(settings: Settings) -> Iterator[Found]:
    """Judge the configuration where it can not be seen at work."""
    if settings.workers == 1:
        return
    if settings.limiter == "memory":
        yield Level.WARN, f"Each of {settings.workers} processes will count limits for itself.", "Set REDIS_URL."
    if settings.bus == "local":
        yield Level.FAIL, f"{settings.workers} processes cannot wake each other (DEFARM_BUS=local).", "DEFARM_BUS=auto"


def _limiters(found: Sequence[Instance]) -> Found:
    alone = [each.instance_id for each in found if each.limiter == "memory"]
    cut = [each.instance_id for each in found if each.limiter == "degraded"]
    if alone:
        text = f"Of {len(found)} instances these count limits for themselves: {_named(alone)}."
        return Level.WARN, text, "Set REDIS_URL on each of them."
    if cut:
        text = f"Of {len(found)} instances these do not reach Redis and count limits for themselves: {_named(cut)}."
        return Level.WARN, text, "Bring Redis back."
    return Level.OK, f"{len(found)} instances count limits together.", ""


def _carriers(found: Sequence[Instance]) -> Found:
    local = [each.instance_id for each in found if each.bus == "local"]
    carriers = sorted({each.bus for each in found if each.bus})
    if local:
        text = f"Of {len(found)} instances these cannot be woken by the others (DEFARM_BUS=local): {_named(local)}."
        return Level.FAIL, text, "DEFARM_BUS=auto"
    if len(carriers) > 1:
        text = f"The instances cannot wake each other: they use {' and '.join(carriers)}."
        return Level.FAIL, text, "Give all of them the same DEFARM_BUS and REDIS_URL."
    return Level.OK, f"{len(found)} instances wake each other over {carriers[0]}.", ""


def _named(ids: Sequence[str]) -> str:
    shown = ", ".join(sorted(ids)[:MOST_NAMED])
    return f"{shown} and {len(ids) - MOST_NAMED} more" if len(ids) > MOST_NAMED else shown


async def bus(container: Container) -> AsyncIterator[Found]:
    """Send a wake-up through one handle and hear it through a second."""
    settings = container.settings()
    if settings.storage == "memory" or settings.bus == "local":
        yield Level.OK, "Wake-ups stay within the process.", ""
        return
    await opened_store(container)
    other = container_of(settings, joins=True)
    try:
        await opened_store(other)
        seconds = await _round_trip(container.bus(), other.bus())
    finally:
        await close(other)
    if seconds is None:
        yield Level.WARN, "A wake-up did not arrive; streams look every 15 s instead.", "DEFARM_BUS, REDIS_URL"
    else:
        yield Level.OK, f"A wake-up takes {seconds * 1000:.0f} ms.", ""


async def _round_trip(hearing: Bus, telling: Bus) -> float | None:
    """Return the seconds from one to the other, None when nothing came within 5 s."""
    wake, heard = Wake((new_id(),)), asyncio.Event()
    hearing.listen(lambda told: heard.set() if told.user_ids == wake.user_ids else None)
    running = [asyncio.create_task(bus.run()) for bus in (hearing, telling)]
    try:
        for _ in range(TRIES):
            begun = perf_counter()
            telling.publish(wake)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.25)
                return perf_counter() - begun
        return None
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def outbox(container: Container) -> AsyncIterator[Found]:
    """Look at work that waits, and at work that was given up."""
    await opened_store(container)
    async with container.storage().read() as reader:
        found = {measure.name: measure.values for measure in await outbox_measures(reader, container.clock().now())}
    dead = {kind: int(number) for kind, number in found["outbox_dead"].items() if number}
    if dead:
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(dead.items()))
        yield Level.WARN, f"Given up: {told}.", "The log says why; deliveries can be replayed."
    oldest = max(found["outbox_oldest_seconds"].values(), default=0.0)
    waiting = int(sum(found["outbox_pending"].values()))
    if oldest > OLDEST_WORK:
        yield Level.WARN, f"{waiting} effects wait, the oldest for {oldest:,.0f} s.", "Is a server running?"
    else:
        yield Level.OK, f"{waiting} effects wait to be carried out.", ""


async def audit(container: Container) -> AsyncIterator[Found]:
    """Look at entries that have no place in the log yet, and at the newest checkpoint."""
    await opened_store(container)
    async with container.storage().read() as reader:
        oldest = (await reader.page(AUDIT, Select({"log_index": None}, ("at", "entry_id")), limit=1)).items
        age = (container.clock().now() - oldest[0].at).total_seconds() if oldest else 0.0
        if age > OLDEST_UNSEQUENCED:
            yield Level.WARN, f"An audit entry waits for its place for {age:,.0f} s.", "Is a server running?"
        else:
            yield Level.OK, "Audit entries take their places in time.", ""
        yield await _checkpoint(reader)


async def _checkpoint(reader: Reader) -> Found:
    head = await newest(reader)
    if head is None:
        return Level.OK, "The audit log is empty.", ""
    root = await asked(reader, head.tree_size, lambda tree: tree.root())
    if root == head.root_hash:
        return Level.OK, f"The newest checkpoint, of {head.tree_size} entries, is that of the tree.", ""
    return Level.FAIL, "The newest checkpoint is not that of the tree.", "defarm audit verify"


async def chains(container: Container) -> AsyncIterator[Found]:
    """Verify the event chains of items picked at random."""
    await opened_store(container)
    async with container.storage().read() as reader:
        dfids = await _picked(reader)
        broken = [chain.dfid for chain in await check_chains(reader, dfids) if chain.fault is not None]
    for dfid in broken:
        yield Level.FAIL, f"The event chain of {dfid} is broken.", f"defarm items verify {dfid}"
    if not broken:
        yield Level.OK, f"The event chains of {len(dfids)} items are whole.", ""


async def _picked(reader: Reader) -> list[str]:
    """Pick items from all over the days on which some were made."""
    ends = [
        head.dfid
        for descending in (False, True)
        for head in (await reader.page(CHAINS, Select(descending=descending), limit=1)).items
    ]
    if not ends:
        return []
    first, last = (datetime.strptime(dfid.split("-")[1], "%Y%m%d").replace(tzinfo=UTC) for dfid in ends)
    picked: set[str] = set()
    for _ in range(10):
        day = first + timedelta(days=random.randint(0, (last - first).days))  # noqa: S311
        after = f"DFID-{day:%Y%m%d}-{random.randint(0, 999_999):06d}"  # noqa: S311
        rows = (await reader.page(CHAINS, Select(), (after,), 10)).items
        rows = rows or (await reader.page(CHAINS, Select(), limit=10)).items
        picked |= {head.dfid for head in rows}
    return sorted(picked)[:CHAINS_CHECKED]
