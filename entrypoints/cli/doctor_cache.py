"""What `defarm doctor` says about Redis in front of PostgreSQL (platform.md 13.4, docs/migration.md)."""

import time
from collections.abc import AsyncIterator, Iterator

from application.settings import Settings
from container import Container
from domain.ports.cache import CacheServer
from domain.ports.cache_control import CacheControl, CacheProbe
from domain.ports.storage import Storage
from entrypoints.cli.findings import Found, Level, opened_store

SLOW_MS = 5.0
PINGS = 5
NEARLY_FULL = 0.9


async def cache(container: Container) -> AsyncIterator[Found]:
    """Yield what a try of the cache finds."""
    settings = container.settings()
    control: CacheControl = container.cache_control()
    await opened_store(container)
    probe = await control.probe()
    if probe is None:
        yield _unused(settings)
    elif probe.server is None:
        yield _unreached(probe.reason, settings)
    else:
        yield _speed(probe.server, min([await _pinged(container.storage()) for _ in range(PINGS)]))
        for found in (*_server(probe.server), *_use(probe, settings)):
            yield found


async def _pinged(storage: Storage) -> float:
    """Return the milliseconds that the store takes to answer."""
    begun = time.perf_counter()
    await storage.ping()
    return (time.perf_counter() - begun) * 1000


def _unused(settings: Settings) -> Found:
    if settings.redis_url is None:
        return Level.OK, "No Redis is configured, and none is needed.", ""
    return Level.OK, f"Redis is not used as a cache by DEFARM_STORAGE={settings.storage}.", ""


def _unreached(reason: str, settings: Settings) -> Found:
    lower = reason.lower()
    if "password" in lower:
        hint = "Correct user and password in REDIS_URL; write %40 %2F %3F %23 for @ / ? # in a password."
    elif "refused" in lower:
        hint = "Start Redis, or correct host and port in REDIS_URL. Until then instances answer from PostgreSQL."
    elif "cluster" in lower or "moved" in lower:
        hint = "Set DEFARM_REDIS_CLUSTER=true exactly when REDIS_URL names a node of a cluster."
    else:
        hint = f"Reach Redis within DEFARM_REDIS_TIMEOUT ({settings.redis_timeout.total_seconds():g} s) from this host."
    return Level.FAIL, f"Redis does not answer: {reason}.", hint


def _speed(server: CacheServer, store_ms: float) -> Found:
    text = f"Redis {server.version} answers in {server.latency:.1f} ms, PostgreSQL in {store_ms:.1f} ms."
    if server.latency > max(SLOW_MS, 2 * store_ms):
        return Level.WARN, text, "The cache costs more than it saves: move Redis closer, or set USE_REDIS_CACHE=false."
    return Level.OK, text, ""


def _server(server: CacheServer) -> Iterator[Found]:
    policy = f"The eviction policy of Redis is {server.eviction or 'not told'}."
    if server.eviction.startswith("volatile-"):
        yield Level.OK, policy, ""
    elif server.eviction.startswith("allkeys-"):
        hint = "Set maxmemory-policy volatile-lru: this one may evict the marks that keep reads from being stale."
        yield Level.FAIL, policy, hint
    else:
        yield Level.WARN, policy, "Set maxmemory-policy volatile-lru: a full Redis refuses to cache otherwise."
    if server.max_memory and server.used_memory > NEARLY_FULL * server.max_memory:
        full = f"Redis uses {server.used_memory:,} of {server.max_memory:,} bytes; {server.evicted:,} keys had to go."
        yield Level.WARN, full, "Raise maxmemory, or lower DEFARM_CACHE_TTL."
    if server.persistent:
        yield Level.WARN, "Redis writes what it is sent to disk.", "Set appendonly no: nothing in it must be kept."


def _use(probe: CacheProbe, settings: Settings) -> Iterator[Found]:
    if probe.layouts > 1:
        text = f"{probe.layouts} releases keep keys under {settings.cache_prefix}."
        hint = "During a rolling change that is as it must be; else give every deployment a DEFARM_CACHE_PREFIX."
        yield Level.WARN, text, hint
    if probe.reason:
        hint = "Set maxmemory-policy volatile-lru and raise maxmemory: a full Redis has to let values go."
        yield Level.FAIL, f"Redis takes no values: {probe.reason}.", hint
    elif probe.elsewhere:
        hint = "Give every process that writes to this store the same REDIS_URL and DEFARM_CACHE_PREFIX."
        yield Level.FAIL, "The instances use another Redis, prefix or release than this process.", hint
    elif probe.closed_for is not None:
        text = f"The cache is closed: somebody wrote without it {probe.closed_for:.0f} s ago."
        yield (
            Level.WARN,
            text,
            "It opens 3 s after the last such write: look for an instance without Redis.",
        )
    elif not probe.fills:
        yield Level.WARN, "Nothing can be put into the cache yet.", "An instance opens it within a second of its start."
    else:
        yield Level.OK, "A value was put into the cache and found again.", ""
