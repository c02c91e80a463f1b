"""Assembly of the engine: the one place where application and adapters meet.

Everything is declared, nothing is built on import, and no provider connects to anything: `store_life` opens the
store, and what it returns is put in as `identifier_keys`. Tests exchange parts with `container.storage.override(…)`.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from dependency_injector import containers, providers

from adapters.bus import LocalBus
from adapters.local_secrets import belong_to_directory, load_or_create_secret
from adapters.memory.backing import MemoryBacking
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.place import MemoryPlace
from adapters.memory.storage import MemoryStorage
from adapters.places import place_of, served
from adapters.postgres.backing import JoinedServer, PostgresBacking, RemoteServer, Server
from adapters.postgres.bus import PostgresBus
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrations import migrations
from adapters.postgres.observed import ObservedBackend
from adapters.postgres.place import PostgresPlace
from adapters.postgres.rights import PostgresLedger
from adapters.postgres.storage import PostgresBounds, PostgresStorage
from adapters.postgres.writers import CACHED, PLAIN, Entry, own_kind
from adapters.snapshot import FORMAT, Header, SnapshotPlace, SnapshotWriter
from application.access import Access
from application.accounts import Accounts, AccountSettings, Desk
from application.accounts.erasing import JOB as ERASING
from application.accounts.erasing import erase_traces
from application.activity import Activities
from application.admin.directory import Directory
from application.admin.statistics import Statistics
from application.admin.upkeep import Jobs
from application.audit import Audit
from application.audit.building import build
from application.audit.dashboard import Dashboards
from application.audit.incidents import Incidents
from application.audit.reports import Reports
from application.audit.sequencer import Sequencer
from application.authentication import AccessTokenCheck, Authentication
from application.caching import CacheAdministration, NoCache
from application.circuits import Circuits
from application.circuits.page_door import PageTokens
from application.circuits.pages import Pages
from application.circuits.service import clear_waiting
from application.denials import Denials
from application.engine import Engine
from application.events import Events
from application.imports import Imports
from application.items import Items
from application.items.administration import ItemAdministration
from application.items.transfers import Transfers
from application.keys.checking import ApiKeyCheck
from application.keys.expiring import KeyWarnings
from application.keys.metering import KeyMeter
from application.keys.service import ApiKeys
from application.moving import snapshot
from application.moving.reading import Progress
from application.notifications import Notifications
from application.notifications.live import Live
from application.notifications.service import tell_many
from application.outbox import Relay
from application.passwords import Passwords
from application.retention import Retention
from application.sealing import Seal
from application.secrets import Peppers, derive_key
from application.settings import FIELDS, REGISTRY, Settings, load
from application.storage_history import StorageHistories, StoreSettings
from application.store_life import RootKeys, StoreLife
from application.tickets import Standing, Tickets
from application.tokens import AccessTokens, SignedTokens, TokenKeys
from application.units import DfidSource, Units
from application.webhooks import Courier, Webhooks
from application.webhooks.feeding import JOBS as WEBHOOK_JOBS
from application.webhooks.vault import Vault
from application.workers import Crew, Worker
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.storage_records import StoreName
from domain.ports.backing import Backing, StoreRefused
from domain.ports.bus import Bus
from domain.ports.clock import Clock, SystemClock
from domain.ports.errors import StorageError
from domain.ports.limits import Policies, Policy, RateLimiter, Window
from domain.ports.moving import Source
from domain.store import Tally

if TYPE_CHECKING:
    from adapters.caching.control import SharedCacheControl
    from adapters.caching.storage import CachedStorage
    from adapters.meter import Meter
    from adapters.write_through.control import MemoryControl
    from adapters.write_through.storage import WriteThroughStorage
    from domain.ports.posting import Poster


def _server(settings: Settings, *, joins: bool) -> Server:
    if settings.database_url is not None:
        return RemoteServer(settings.database_url)
    return JoinedServer(settings.data_dir) if joins else EmbeddedPostgres(settings.data_dir)


def _bounds(settings: Settings) -> PostgresBounds:
    return PostgresBounds(
        pool_min=settings.db_pool_min,
        pool_max=settings.db_pool_max,
        pool_wait=settings.db_pool_wait.total_seconds(),
        statement_timeout=settings.db_statement_timeout.total_seconds(),
        lock_timeout=settings.db_lock_timeout.total_seconds(),
        connect_timeout=settings.db_connect_timeout.total_seconds(),
    )


def _postgres_backend(settings: Settings, server: Server, *, joins: bool) -> ObservedBackend:
    """Make what asks PostgreSQL; a command beside a `write_through` server is no other such server."""
    alone = PLAIN if joins else own_kind()
    kind = {"redis_cached": CACHED, "write_through": alone}.get(settings.storage, PLAIN)
    return ObservedBackend(lambda: server.url, _bounds(settings), Entry(kind))


def _postgres_storage(settings: Settings, server: Server, backend: ObservedBackend) -> PostgresStorage:
    return PostgresStorage(lambda: server.url, _bounds(settings), backend)


def _redis_cached_storage(settings: Settings, server: Server, backend: ObservedBackend) -> "CachedStorage":
    """Make the stack whose reads by key are answered by Redis; REDIS_URL is set, or the settings were refused."""
    # The other stacks start a quarter of a second sooner without the client of Redis.
    from adapters.caching.keys import KeySpace, layout  # noqa: PLC0415
    from adapters.caching.storage import CachedStorage  # noqa: PLC0415
    from adapters.redis.cache import SCRIPTS, RedisCache  # noqa: PLC0415
    from adapters.redis.cluster import TAGS, ClusterLink  # noqa: PLC0415
    from adapters.redis.link import RedisLink, Scripts  # noqa: PLC0415

    space = KeySpace(settings.cache_prefix, layout(), TAGS if settings.redis_cluster else 1)
    scripts = Scripts(SCRIPTS)
    reach = ClusterLink if settings.redis_cluster else RedisLink
    link = reach(settings.redis_url or "", scripts, settings.redis_timeout.total_seconds())
    cache = RedisCache(link, scripts, space, value_life=settings.cache_ttl.total_seconds())
    ledger = PostgresLedger(lambda: server.url, _bounds(settings))
    return CachedStorage(backend, ledger, cache, space)


def _write_through_storage(
    settings: Settings, server: Server, backend: ObservedBackend, *, joins: bool
) -> "WriteThroughStorage | PostgresStorage":
    """Make the stack that holds the working set in memory; a command needs no memory, and writes only beside none."""
    if joins:
        return _postgres_storage(settings, server, backend)
    from adapters.write_through.behind import BehindBounds  # noqa: PLC0415
    from adapters.write_through.storage import WriteThroughStorage  # noqa: PLC0415

    behind = BehindBounds(settings.write_behind_queue, settings.write_behind_max_lag.total_seconds())
    return WriteThroughStorage(
        lambda: server.url,
        _bounds(settings),
        skip_items=settings.skip_items_preload,
        backend=backend,
        behind=behind if settings.write_behind else None,
        drain=settings.shutdown_grace.total_seconds(),
    )


def _shared_cache_control(storage: "CachedStorage") -> "SharedCacheControl":
    from adapters.caching.control import SharedCacheControl  # noqa: PLC0415

    return SharedCacheControl(storage)


def _carrier(settings: Settings) -> str:
    """Return what carries wake-ups: the first that the configuration offers (platform.md 8.5)."""
    if settings.bus != "auto":
        return settings.bus
    return "redis" if settings.redis_url else "local" if settings.storage == "memory" else "postgres"


def _bus(settings: Settings, server: Server) -> Bus:
    chosen = _carrier(settings)
    if chosen == "redis" and settings.redis_url:
        from adapters.redis.bus import RedisBus  # noqa: PLC0415

        return RedisBus(settings.redis_url, settings.cache_prefix, settings.redis_timeout.total_seconds())
    return LocalBus() if chosen == "local" else PostgresBus(lambda: server.url)


def _memory_control(storage: "WriteThroughStorage | PostgresStorage", clock: Clock) -> "NoCache | MemoryControl":
    from adapters.write_through.control import MemoryControl  # noqa: PLC0415

    return NoCache(clock) if isinstance(storage, PostgresStorage) else MemoryControl(storage)


def _passwords(settings: Settings) -> Passwords:
    return Passwords(
        workers=settings.password_workers,
        queue=settings.password_queue,
        time_cost=settings.argon2_time,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
    )


def _page_tokens(settings: Settings) -> PageTokens:
    previous = settings.secret_key_previous
    keys = TokenKeys(
        derive_key(settings.secret_key, "defarm/page"),
        None if previous is None else derive_key(previous, "defarm/page"),
    )
    tokens = SignedTokens(keys, settings.jwt_issuer, f"{settings.jwt_audience}/page")
    return PageTokens(tokens, settings.page_token_ttl)


def _redis_limiter(settings: Settings, limits: Policies) -> RateLimiter:
    """Make the limiter that instances share; REDIS_URL is set, or the settings were refused."""
    from adapters.redis.limits import SharedRateLimiter  # noqa: PLC0415

    return SharedRateLimiter(
        limits, settings.redis_url or "", settings.cache_prefix, settings.redis_timeout.total_seconds()
    )


_EXACT_POLICIES = {"login_pair", "login_user", "login_ip", "page_password", "page_password_circuit"}


def _base(settings: Settings) -> str:
    """Return what links begin with: the external address without a slash at its end, or nothing."""
    return (settings.public_url or "").rstrip("/")


def policies(settings: Settings) -> Policies:
    """Return every limit of the configuration by the name of its policy (platform.md 5.2, 5.3)."""
    limits = {
        name.removeprefix("limit_"): getattr(settings, name) for name in FIELDS.values() if name.startswith("limit_")
    }
    return {
        name: Policy(tuple(Window(each.quota, each.seconds) for each in windows), exact=name in _EXACT_POLICIES)
        for name, windows in limits.items()
    }


def _meter(settings: Settings) -> "Meter":
    # Only a serving process counts.
    from adapters.meter import Meter  # noqa: PLC0415

    return Meter(version("defarm-engine"), settings.storage)


def _poster(settings: Settings) -> "Poster":
    # The HTTP client is loaded by what delivers only: commands and the start do without it.
    from adapters.webhooks.poster import GuardedPoster  # noqa: PLC0415

    return GuardedPoster(settings.webhook_timeout.total_seconds(), settings.webhook_allowed_networks)


def _workers(life: StoreLife, settings: Settings, workers: list[Worker]) -> list[Worker]:
    return [Worker("store", life.keep), *workers] if settings.embedded else workers


def _statistics(units: Units, backing: Backing, clock: Clock, settings: Settings, limiter: RateLimiter) -> Statistics:
    async def schema_version() -> int:
        return (await backing.schema()).applied

    def shares() -> tuple[str, str]:
        return "degraded" if limiter.degraded else settings.limiter, _carrier(settings)

    return Statistics(
        units=units,
        mode=settings.storage,
        schema_version=schema_version,
        instance_id=settings.instance_id,
        release=version("defarm-engine"),
        started_at=clock.now(),
        shares=shares,
    )


def _stream_tokens(signed: SignedTokens) -> SignedTokens:
    return attrs.evolve(signed, audience=f"{signed.audience}/stream")


class Container(containers.DeclarativeContainer):
    """`Container(settings=…)` for a server; with `joins=True` an embedded server is shared, not owned.

    `identifier_keys` is overridden once the store is open; what needs it cannot be built before.
    """

    settings: providers.Dependency[Settings] = providers.Dependency(instance_of=Settings)
    joins: providers.Dependency[bool] = providers.Dependency(instance_of=bool, default=False)
    identifier_keys: providers.Dependency[IdentifierKeys] = providers.Dependency(instance_of=IdentifierKeys)

    clock = providers.Singleton(SystemClock)

    server = providers.Singleton(_server, settings, joins=joins)
    memory_storage = providers.Singleton(MemoryStorage)
    postgres_backend = providers.Singleton(_postgres_backend, settings, server, joins=joins)
    postgres_storage = providers.Singleton(_postgres_storage, settings, server, postgres_backend)
    postgres_backing = providers.Singleton(PostgresBacking, server, postgres_storage)
    redis_cached_storage = providers.Singleton(_redis_cached_storage, settings, server, postgres_backend)
    write_through_storage = providers.Singleton(_write_through_storage, settings, server, postgres_backend, joins=joins)
    observed = providers.Selector(
        settings.provided.storage,
        memory=providers.List(),
        postgres=providers.List(postgres_backend),
        redis_cached=providers.List(postgres_backend),
        write_through=providers.List(postgres_backend),
    )

    backing = providers.Selector(
        settings.provided.storage,
        memory=providers.Singleton(MemoryBacking, memory_storage),
        postgres=postgres_backing,
        redis_cached=providers.Singleton(PostgresBacking, server, redis_cached_storage),
        write_through=providers.Singleton(PostgresBacking, server, write_through_storage),
    )
    storage = providers.Selector(
        settings.provided.storage,
        memory=memory_storage,
        postgres=postgres_storage,
        redis_cached=redis_cached_storage,
        write_through=write_through_storage,
    )
    no_cache = providers.Singleton(NoCache, clock)
    cache_control = providers.Selector(
        settings.provided.storage,
        memory=no_cache,
        postgres=no_cache,
        redis_cached=providers.Singleton(_shared_cache_control, redis_cached_storage),
        write_through=providers.Singleton(_memory_control, write_through_storage, clock),
    )
    store_life = providers.Singleton(
        StoreLife,
        backing,
        storage,
        clock,
        providers.Singleton(RootKeys, settings.provided.secret_key, settings.provided.secret_key_previous),
        migrate=settings.provided.migrate_on_start,
    )

    dfids = providers.Singleton(DfidSource, storage, clock, settings.provided.dfid_block)
    bus = providers.Singleton(_bus, settings, server)
    units = providers.Singleton(Units, storage, clock, dfids, bus)

    passwords = providers.Singleton(_passwords, settings)
    peppers = providers.Singleton(Peppers.of, settings.provided.secret_key, settings.provided.secret_key_previous)
    signed_tokens = providers.Singleton(
        SignedTokens,
        providers.Singleton(TokenKeys, settings.provided.jwt_secret, settings.provided.jwt_secret_previous),
        settings.provided.jwt_issuer,
        settings.provided.jwt_audience,
    )

    access_tokens = providers.Singleton(AccessTokens, signed_tokens, settings.provided.access_token_ttl)
    sealing = providers.Singleton(
        Seal.of, "defarm/idempotency", settings.provided.secret_key, settings.provided.secret_key_previous
    )
    policies = providers.Singleton(policies, settings)
    limiter = providers.Selector(
        settings.provided.limiter,
        memory=providers.Singleton(MemoryRateLimiter, policies),
        redis=providers.Singleton(_redis_limiter, settings, policies),
    )
    denials = providers.Singleton(Denials, storage, clock)
    key_check = providers.Singleton(ApiKeyCheck, peppers, storage, clock, denials)
    keys = providers.Singleton(ApiKeys, units, peppers)
    key_meter = providers.Singleton(KeyMeter, storage, clock)
    key_warnings = providers.Singleton(KeyWarnings, units)
    standing = providers.Singleton(Standing, storage, clock, key_check)
    tickets = providers.Singleton(Tickets, providers.Singleton(_stream_tokens, signed_tokens), standing, denials)
    authentication = providers.Singleton(
        Authentication,
        providers.Dict(
            token=providers.Singleton(AccessTokenCheck, access_tokens, storage, clock, denials),
            api_key=key_check,
            ticket=tickets,
        ),
    )

    desk = providers.Singleton(
        Desk,
        units=units,
        passwords=passwords,
        tokens=access_tokens,
        peppers=peppers,
        limiter=limiter,
        settings=providers.Singleton(AccountSettings.of, settings),
        denials=denials,
    )
    accounts = providers.Singleton(Accounts, desk)
    directory = providers.Singleton(Directory, units)
    outbox_jobs = providers.Singleton(Jobs, units)
    statistics = providers.Singleton(_statistics, units, backing, clock, settings, limiter)
    items = providers.Singleton(Items, units, identifier_keys)
    item_administration = providers.Singleton(ItemAdministration, units, identifier_keys)
    store_settings = providers.Singleton(StoreSettings, settings.provided.storage, settings.provided.store_label)
    events = providers.Singleton(Events, units, store_settings)
    storage_histories = providers.Singleton(StorageHistories, units, store_settings)
    circuits = providers.Singleton(
        Circuits, units, identifier_keys, passwords, limiter, settings.provided.join_cooldown
    )
    pages = providers.Singleton(
        Pages,
        units,
        circuits.provided.door,
        providers.Singleton(_page_tokens, settings),
        circuits.provided.tallies,
    )
    access = providers.Singleton(Access, units)
    transfers = providers.Singleton(Transfers, units, identifier_keys)
    imports = providers.Singleton(Imports, units, identifier_keys, settings.provided.max_import_rows)

    vault = providers.Singleton(
        Vault,
        providers.Singleton(
            Seal.of, "defarm/webhook", settings.provided.secret_key, settings.provided.secret_key_previous
        ),
    )
    webhooks = providers.Singleton(Webhooks, units, vault, settings.provided.webhook_allowed_networks)
    poster = providers.Singleton(_poster, settings)
    courier = providers.Singleton(
        Courier,
        units,
        vault,
        poster.provider,
        workers=settings.provided.webhook_workers,
        retention=settings.provided.webhook_retention,
    )

    cache = providers.Singleton(CacheAdministration, cache_control, units)
    jobs = providers.Dict(
        {name: providers.Object(job) for name, job in WEBHOOK_JOBS.items()} | {ERASING: providers.Object(erase_traces)},
        cancel_waiting=providers.Object(clear_waiting),
        notify=providers.Object(tell_many),
    )
    courses = providers.Dict(report=providers.Object(build))
    relay = providers.Singleton(Relay, units, jobs, courses=courses)
    retention = providers.Singleton(
        Retention,
        units,
        settings.provided.activity_retention_days,
        settings.provided.audit_personal_days,
        settings.provided.import_report_days,
    )
    sequencer = providers.Singleton(Sequencer, units, settings.provided.log_key)
    workers = providers.List(
        providers.Factory(Worker, "bus", bus.provided.run),
        providers.Factory(Worker, "retention", retention.provided.run),
        providers.Factory(Worker, "sequencer", sequencer.provided.run),
        providers.Factory(Worker, "outbox", relay.provided.run),
        providers.Factory(Worker, "webhooks", courier.provided.run),
        providers.Factory(Worker, "denials", denials.provided.run),
        providers.Factory(Worker, "statistics", statistics.provided.run),
        providers.Factory(Worker, "key_usage", key_meter.provided.run),
        providers.Factory(Worker, "key_warnings", key_warnings.provided.run),
    )
    meter = providers.Singleton(_meter, settings)
    crew = providers.Singleton(Crew, providers.Callable(_workers, store_life, settings, workers))
    activities = providers.Singleton(Activities, units)
    base = providers.Callable(_base, settings)
    notifications = providers.Singleton(Notifications, units, base)
    audit = providers.Singleton(Audit, units)
    reports = providers.Singleton(Reports, units)
    dashboards = providers.Singleton(Dashboards, units, audit)
    incidents = providers.Singleton(Incidents, units, audit)
    live = providers.Singleton(
        Live,
        storage,
        clock,
        standing,
        bus,
        settings.provided.streams_per_user,
        settings.provided.stream_max_age,
        base,
    )

    engine = providers.Singleton(
        Engine,
        storage=storage,
        units=units,
        accounts=accounts,
        items=items,
        events=events,
        circuits=circuits,
        pages=pages,
        transfers=transfers,
        imports=imports,
        activities=activities,
        notifications=notifications,
        audit=audit,
    )


def container_of(settings: Settings, *, joins: bool = False) -> Container:
    """Return the container of a configuration. Raises StoreRefused for what this release does not have."""
    stacks = Container.storage.providers
    if settings.storage not in stacks:
        raise StoreRefused(f"DEFARM_STORAGE={settings.storage} is not part of this release, {', '.join(stacks)} are")
    return Container(settings=settings, joins=joins)


def kept_secret(data_dir: Path, name: str) -> str:
    """Return the secret that the data directory keeps under `name`, made on first use together with the directory.

    Raises OSError when the directory cannot be used, ValueError when what is kept is damaged.
    """
    if not data_dir.exists():
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        belong_to_directory(data_dir)
    return load_or_create_secret(data_dir, name)


def place(
    settings: Settings, spec: str | MemoryStorage, batch: int = 1000
) -> PostgresPlace | SnapshotPlace | MemoryPlace:
    """Return an end of a copy: `env` is the configured store, a storage in memory is one of this process.

    A database is read by portions of at most `batch` rows. Raises CannotMove, StoreRefused.
    """
    if isinstance(spec, MemoryStorage):
        return MemoryPlace(spec)
    if spec != "env":
        return place_of(spec, batch)
    if settings.storage == "memory":
        raise StoreRefused("with DEFARM_STORAGE=memory the store lives inside the server; name another one")
    return served(settings.database_url, settings.data_dir, batch)


async def write_snapshot(
    source: Source, path: Path, name: StoreName, clock: Clock, tell: Progress
) -> tuple[Tally, ...]:
    """Keep everything that a store holds at one instant in a new file, and return the tallies of its parts.

    The file appears whole or not at all. `name` says kind and label. Raises CannotMove, StorageError, OSError.
    """
    async with source.standing() as held:
        header = Header(
            version=FORMAT,
            schema=migrations()[-1].version,
            release=version("defarm-engine"),
            snapshot_id=new_id(),
            taken_at=clock.now(),
            store=attrs.evolve(name, store_id=held.record.store_id),
        )
        with SnapshotWriter(path, header) as out:
            return await snapshot(held, out, tell)


@asynccontextmanager
async def opened(container: Container) -> AsyncIterator[Container]:
    """Open the store of a container and close it, and what was built on it, in reverse order."""
    life = container.store_life()
    try:
        container.identifier_keys.override(providers.Object(await life.open()))
        yield container
    finally:
        await close(container)


async def close(container: Container) -> None:
    """Stop the workers and close whatever of a container was built. Idempotent."""
    await container.crew().stop()
    for counted in (container.denials(), container.key_meter()):
        with suppress(StorageError):
            await counted.flush()
    await container.limiter().aclose()
    container.passwords().close()
    await container.store_life().aclose()


@asynccontextmanager
async def open_engine(settings: Settings | None = None, **options: Any) -> AsyncIterator[Engine]:
    """Run the engine inside this process.

        async with open_engine(storage="memory") as engine:
            ...

    `options` are fields of Settings; the environment is not read. Without any the store is the embedded PostgreSQL
    under `./.defarm`. Raises ConfigurationError, and what StoreLife.open raises.
    """
    async with opened(container_of(settings or _settings(options))) as container:
        container.crew().start()
        yield container.engine()


def _settings(options: dict[str, Any]) -> Settings:
    kinds = {FIELDS[setting.name]: setting for setting in REGISTRY}
    if strangers := sorted(set(options) - set(kinds)):
        raise TypeError(f"no such setting: {', '.join(strangers)}")
    texts = {kinds[field].name: _text(value) for field, value in options.items()}
    ephemeral: Callable[[Path, str], str] = lambda _, name: secrets.token_urlsafe(48)  # noqa: E731
    return load({}, options=texts, local_secret=ephemeral if options.get("storage") == "memory" else kept_secret)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
