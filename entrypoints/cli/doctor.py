"""What `defarm doctor` looks at (platform.md 13.4)."""

import shutil
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from application import invariants
from application.settings import Settings, default_env_file
from application.store_life import STORE_KEY
from container import Container, close, container_of
from domain.ports.backing import StoreBroken, StoreRefused
from domain.ports.errors import StorageError
from domain.ports.schema import STORE
from entrypoints.cli import doctor_parts
from entrypoints.cli.doctor_cache import cache
from entrypoints.cli.findings import Finding, Found, Level, NotCurrent, opened_store

OLDEST_SERVER = 15
LEAST_FREE_MIB = 512


async def examine(settings: Settings, names: Iterable[str]) -> list[Finding]:
    """Run the named checks in order; one that breaks is a finding itself."""
    findings: list[Finding] = []
    container = container_of(settings, joins=True)
    try:
        for name in names:
            findings += [Finding(name, *found) for found in await _run(known()[name], container)]
    finally:
        await close(container)
    return findings


async def _run(check: "Check", container: Container) -> list[Found]:
    try:
        return [found async for found in check(container)]
    except NotCurrent as behind:
        return [(Level.FAIL, str(behind), "defarm migrate")]
    except (StorageError, StoreBroken, StoreRefused, OSError) as error:
        return [(Level.FAIL, str(error) or type(error).__name__, "")]


async def _configuration(container: Container) -> AsyncIterator[Found]:
    warnings = container.settings().warnings
    for warning in warnings:
        yield Level.WARN, warning, ""
    if not warnings:
        yield Level.OK, "The configuration is complete.", ""


async def _secrets(container: Container) -> AsyncIterator[Found]:
    settings = container.settings()
    keys = {"JWT_SECRET": settings.jwt_secret, "DEFARM_SECRET_KEY": settings.secret_key}
    for found in (*_weak(keys), *_equal(settings)):
        yield found
    if settings.sources["DEFARM_SECRET_KEY"] == "derived":  # noqa: S105 -- a source
        yield Level.WARN, "DEFARM_SECRET_KEY is derived from JWT_SECRET.", "Set it, so that JWT_SECRET can rotate."


def _weak(keys: Mapping[str, bytes]) -> Iterator[Found]:
    for name, key in keys.items():
        if len(set(key)) < 8:
            yield Level.WARN, f"{name} has fewer than 8 distinct bytes.", "Make one with: defarm init"
        else:
            yield Level.OK, f"{name} is strong.", ""


def _equal(settings: Settings) -> Iterator[Found]:
    if settings.jwt_secret == settings.secret_key:
        yield Level.FAIL, "JWT_SECRET and DEFARM_SECRET_KEY are the same.", "Make two with: defarm init"


async def _files(container: Container) -> AsyncIterator[Found]:
    settings = container.settings()
    env_file = default_env_file()
    paths = [path for path in (env_file, settings.data_dir) if path is not None and path.exists()]
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Level.FAIL, f"{path} can be read by others (mode {mode:o}).", f"chmod go= {path}"
        else:
            yield Level.OK, f"{path} is closed to others.", ""
    if not paths:
        yield Level.OK, "There is neither a .env nor a data directory to protect.", ""
    if settings.embedded and settings.data_dir.exists():
        yield _disk(settings)


def _disk(settings: Settings) -> Found:
    free = shutil.disk_usage(settings.data_dir).free // 1024**2
    level = Level.OK if free >= LEAST_FREE_MIB else Level.WARN
    return level, f"{free:,} MiB are free for {settings.data_dir}.", ""


async def _store(container: Container) -> AsyncIterator[Found]:
    backing = container.backing()
    await backing.connect()
    schema = await backing.schema()
    await backing.open()
    begun = time.perf_counter()
    await container.storage().ping()
    yield Level.OK, f"The store ({backing.mode}) answers in {(time.perf_counter() - begun) * 1000:.1f} ms.", ""
    if schema.pending:
        yield Level.FAIL, f"The schema waits for {', '.join(schema.pending)}.", "defarm migrate"
    else:
        yield Level.OK, f"The schema is current (version {schema.applied}).", ""
        for found in await _moved(container):
            yield found
    facts = await backing.facts()
    if facts is None:
        return
    yield _graded(facts.major >= OLDEST_SERVER, f"The server is PostgreSQL {facts.major}.", "Version 15 or newer.")
    yield _graded(facts.encoding == "UTF8", f"The database is encoded in {facts.encoding}.", "Make one with UTF8.")
    yield _clock(facts.now)
    yield _connections(container.settings(), facts.max_connections)


async def _moved(container: Container) -> list[Found]:
    """Return what is to be said of a store that is, or was, an end of a copy."""
    async with container.storage().read() as reader:
        record = await reader.find(STORE, STORE_KEY)
    if record is not None and record.copying is not None:
        return [(Level.FAIL, "The store holds a copy that was not completed.", "defarm storage copy --resume")]
    if record is not None and record.read_only:
        text = "The store was copied and declared out of use." if record.retired else "The store takes no changes."
        return [(Level.WARN, text, "Use the copy; or: defarm storage release")]
    return []


def _graded(fine: bool, text: str, hint: str) -> Found:
    return (Level.OK, text, "") if fine else (Level.FAIL, text, hint)


def _clock(theirs: datetime) -> Found:
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    level = Level.FAIL if apart > 30 else Level.WARN if apart > 2 else Level.OK
    return level, f"The clocks of store and host differ by {apart:.1f} s.", "" if level is Level.OK else "Run NTP."


def _connections(settings: Settings, most: int) -> Found:
    wanted = settings.workers * (settings.db_pool_max + 2)
    text = f"This instance uses up to {wanted} of {most} connections."
    return _graded(wanted < most, text, "Lower DEFARM_DB_POOL_MAX or raise max_connections.")


async def _accounts(container: Container) -> AsyncIterator[Found]:
    await opened_store(container)
    found = await container.accounts().administration.administrators()
    if found:
        yield Level.OK, f"{len(found)} administrators are active.", ""
    else:
        yield Level.WARN, "No administrator exists; the setup token waits to be used.", "defarm admin create"


async def _invariants(container: Container) -> AsyncIterator[Found]:
    """Hold every row of the store against everything that must always be true; the store may be in use."""
    backing = container.backing()
    await backing.connect()
    if (await backing.schema()).pending:
        yield Level.FAIL, "Rows cannot be read before the schema is current.", "defarm migrate"
        return
    await backing.open()
    told = 0
    async for one in invariants.breaches(container.storage()):
        told += 1
        if told > MOST_TOLD:
            yield Level.FAIL, f"More than {MOST_TOLD:,} breaches; the rest is left out.", ""
            return
        key = one.key if isinstance(one.key, str) else " ".join(one.key)
        yield Level.FAIL, f"{one.rule}: {one.facet} {key} {one.what}.", one.remedy
    if not told:
        yield Level.OK, f"All {len(invariants.INVARIANTS)} invariants hold for every row.", ""


async def _hashing(container: Container) -> AsyncIterator[Found]:
    begun = time.perf_counter()
    await container.passwords().hash("the time of one password")
    seconds = time.perf_counter() - begun
    level = Level.OK if 0.01 <= seconds <= 1 else Level.WARN
    yield level, f"Hashing a password takes {seconds * 1000:.0f} ms.", "" if level is Level.OK else "DEFARM_ARGON2_*"


async def _edge(container: Container) -> AsyncIterator[Found]:
    settings = container.settings()
    if "*" in settings.cors_origins:
        yield Level.WARN, "Any web site may call the API (DEFARM_CORS_ORIGINS=*).", "Name the origins."
    else:
        yield Level.OK, f"{len(settings.cors_origins)} origins may call the API from a browser.", ""
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not settings.trusted_proxies:
        yield Level.WARN, "No proxy is trusted, so every client behind one counts as one.", "DEFARM_TRUSTED_PROXIES"


MOST_TOLD = 1_000
"""Breaches of invariants that one run tells."""

Check = Callable[[Container], AsyncIterator[Found]]
CHECKS: Mapping[str, Check] = MappingProxyType(
    {
        "configuration": _configuration,
        "secrets": _secrets,
        "files": _files,
        "store": _store,
        "cache": cache,
        "accounts": _accounts,
        "hashing": _hashing,
        "edge": _edge,
        "instances": doctor_parts.instances,
        "bus": doctor_parts.bus,
        "outbox": doctor_parts.outbox,
        "audit": doctor_parts.audit,
        "chains": doctor_parts.chains,
    }
)
"""Every check by name, in the order they run."""

DEEP: Mapping[str, Check] = MappingProxyType({"invariants": _invariants})
"""Checks that read the whole store, which takes its time."""


def known() -> dict[str, Check]:
    """Return every check by name, the deep ones last."""
    return {**CHECKS, **DEEP}
