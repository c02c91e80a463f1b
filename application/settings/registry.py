# ruff: noqa: RUF009 -- every default is an attrs field, which the checker cannot see through `_setting`
"""Every variable the engine reads, once: name, kind, default and meaning (platform.md 11, circuits.md 1.10).

`Settings` is what they amount to. Its fields are declared together with their variable, so that the two
cannot drift apart; `REGISTRY` lists them in the order of the reference table.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from application.settings.addresses import Address, Network, Networks, Origins, PublicUrl, StoreUrl
from application.settings.types import (
    Boolean,
    Choice,
    Directory,
    Duration,
    EncodedKey,
    Integer,
    Key,
    Kind,
    Limit,
    Line,
    Size,
    Window,
)

Value = TypeVar("Value")

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3


@attrs.frozen
class Setting:
    """One variable. `default` is written as one would configure it, empty for none.

    `derived` says in words how the value is found when nothing is configured and `default` cannot say it.
    """

    name: str
    kind: Kind[Any]
    default: str
    meaning: str
    secret: bool = False
    derived: str = ""

    @property
    def bounds(self) -> str:
        return self.kind.bounds

    @property
    def default_text(self) -> str:
        """The default as the tables print it."""
        return self.derived or self.default or "–"


def _setting(
    name: str, kind: Kind[Value], default: str, meaning: str, *, secret: bool = False, derived: str = ""
) -> Value:
    """Declare a field of `Settings`; typed as its value, so that mypy holds kind and annotation together."""
    setting = Setting(name, kind, default, meaning, secret, derived)
    field: Value = attrs.field(repr=not secret, metadata={"setting": setting})
    return field


_POSTGRES = StoreUrl(("postgres", "postgresql"))
_REDIS = StoreUrl(("redis", "rediss", "unix"))
_WAIT = Duration(0.01, 300)


@attrs.frozen(kw_only=True)
class Settings:
    """The checked configuration of one process. Made by `load`; automatic values are already resolved.

    `sources` names where each variable's value came from; `warnings` is what an operator should be told.
    """

    host: str = _setting("HOST", Address(), "127.0.0.1", "bind address; `::` binds both families")
    port: int = _setting("PORT", Integer(0, 65_535), "3000", "port; 0 = any free port, printed")
    workers: int = _setting(
        "DEFARM_WORKERS",
        Integer(1, 64),
        "1",
        "processes sharing the socket; more than 1 is refused for `memory` and `write_through`",
    )
    public_url: str | None = _setting(
        "DEFARM_PUBLIC_URL",
        PublicUrl(),
        "",
        "external base of links in notifications and in what the start prints",
    )
    database_url: str | None = _setting(
        "DATABASE_URL",
        _POSTGRES,
        "",
        "the store; absent = embedded PostgreSQL; `sslmode` is honoured",
        secret=True,
    )
    storage: str = _setting(
        "DEFARM_STORAGE",
        Choice(("auto", "memory", "postgres", "redis_cached", "write_through")),
        "auto",
        "storage stack; `auto` = `redis_cached` if the cache is on, else `postgres`",
    )
    store_label: str | None = _setting(
        "DEFARM_STORE_LABEL", Line(64), "", "what the store is called in the storage history of items"
    )
    data_dir: Path = _setting(
        "DEFARM_DATA_DIR", Directory(), "./.defarm", "embedded server and local files; made with mode 0700"
    )
    redis_url: str | None = _setting("REDIS_URL", _REDIS, "", "cache, limiter and bus", secret=True)
    use_redis_cache: bool = _setting(
        "USE_REDIS_CACHE",
        Boolean(),
        "",
        "cache reads in Redis; `true` without REDIS_URL is a fault; `false` leaves Redis to limiter and bus",
        derived="on if REDIS_URL is set",
    )
    cache_ttl: timedelta = _setting("DEFARM_CACHE_TTL", Duration(10, 30 * _DAY), "1h", "life of a cached value")
    cache_prefix: str = _setting(
        "DEFARM_CACHE_PREFIX", Line(32, "[a-z0-9:_-]"), "defarm", "one per deployment sharing a Redis"
    )
    redis_cluster: bool = _setting(
        "DEFARM_REDIS_CLUSTER",
        Boolean(),
        "false",
        "`REDIS_URL` names a node of a Redis Cluster; the same for every instance",
    )
    redis_timeout: timedelta = _setting(
        "DEFARM_REDIS_TIMEOUT",
        Duration(0.01, 5),
        "0.05s",
        "per command, no retry; then the instance is degraded",
    )
    skip_items_preload: bool = _setting(
        "SKIP_ITEMS_PRELOAD",
        Boolean(),
        "false",
        "`write_through`: load on demand; nothing becomes invisible",
    )
    write_behind: bool = _setting(
        "DEFARM_WRITE_BEHIND", Boolean(), "false", "`write_through` only: acknowledge before PostgreSQL"
    )
    write_behind_queue: int = _setting(
        "DEFARM_WRITE_BEHIND_QUEUE", Integer(100, 1_000_000), "10000", "queued units; beyond, writers wait"
    )
    write_behind_max_lag: timedelta = _setting(
        "DEFARM_WRITE_BEHIND_MAX_LAG", Duration(0.1, 60), "5s", "age of the queue; beyond, writers wait"
    )
    db_pool_min: int = _setting("DEFARM_DB_POOL_MIN", Integer(0, 200), "2", "connections kept, per process")
    db_pool_max: int = _setting(
        "DEFARM_DB_POOL_MAX", Integer(1, 200), "8", "most connections, per process; not below the minimum"
    )
    db_pool_wait: timedelta = _setting("DEFARM_DB_POOL_WAIT", _WAIT, "2s", "wait for a connection; beyond: `503`")
    db_statement_timeout: timedelta = _setting(
        "DEFARM_DB_STATEMENT_TIMEOUT", _WAIT, "5s", "length of a statement; beyond: `503`"
    )
    db_lock_timeout: timedelta = _setting("DEFARM_DB_LOCK_TIMEOUT", _WAIT, "2s", "wait for a row; beyond: `503`")
    db_connect_timeout: timedelta = _setting(
        "DEFARM_DB_CONNECT_TIMEOUT", _WAIT, "5s", "wait for the server; beyond: `503`"
    )
    migrate_on_start: bool = _setting(
        "DEFARM_MIGRATE_ON_START",
        Boolean(),
        "true",
        "migrate at start; else wait for `defarm migrate`",
    )
    jwt_secret: bytes = _setting(
        "JWT_SECRET",
        Key(32),
        "",
        "signs access tokens; `doctor` warns below 8 distinct bytes",
        secret=True,
        derived="required with `DATABASE_URL`; with the embedded store or `memory` made on first start and "
        "kept in the data directory (mode 0600)",
    )
    jwt_issuer: str = _setting("DEFARM_JWT_ISSUER", Line(200), "defarm", "`iss` of access tokens")
    jwt_audience: str = _setting("DEFARM_JWT_AUDIENCE", Line(200), "defarm-api", "`aud` of access tokens")
    secret_key: bytes = _setting(
        "DEFARM_SECRET_KEY",
        Key(32),
        "",
        "root of the keys for opaque secrets, sealed values and the store's data key",
        secret=True,
        derived="as JWT_SECRET with the embedded store; else derived from JWT_SECRET, with a warning",
    )
    jwt_secret_previous: bytes | None = _setting(
        "DEFARM_JWT_SECRET_PREVIOUS",
        Key(32),
        "",
        "rotation: tokens signed with it are still accepted",
        secret=True,
    )
    secret_key_previous: bytes | None = _setting(
        "DEFARM_SECRET_KEY_PREVIOUS",
        Key(32),
        "",
        "rotation: what is found under it is rewritten under the current one",
        secret=True,
    )
    access_token_ttl: timedelta = _setting(
        "DEFARM_ACCESS_TOKEN_TTL", Duration(_MINUTE, _DAY), "15m", "life of an access token"
    )
    refresh_token_ttl: timedelta = _setting(
        "DEFARM_REFRESH_TOKEN_TTL", Duration(_HOUR, 365 * _DAY), "30d", "idle life of a session"
    )
    refresh_grace: timedelta = _setting(
        "DEFARM_REFRESH_GRACE", Duration(0, 5 * _MINUTE), "30s", "a used refresh token may be sent again"
    )
    session_max_age: timedelta = _setting(
        "DEFARM_SESSION_MAX_AGE", Duration(_HOUR, 730 * _DAY), "90d", "longest life of a session"
    )
    max_sessions: int = _setting(
        "DEFARM_MAX_SESSIONS", Integer(1, 100), "20", "active sessions per user; one more ends the least recently used"
    )
    registration: str = _setting(
        "DEFARM_REGISTRATION", Choice(("open", "invite", "closed")), "open", "who may register"
    )
    password_min_length: int = _setting(
        "DEFARM_PASSWORD_MIN_LENGTH", Integer(10, 64), "10", "shortest password, in characters"
    )
    password_workers: int = _setting(
        "DEFARM_PASSWORD_WORKERS",
        Integer(1, 64),
        "",
        "threads that hash passwords",
        derived="min(4, CPUs)",
    )
    password_queue: int = _setting(
        "DEFARM_PASSWORD_QUEUE", Integer(1, 10_000), "64", "passwords that may wait; beyond: `503 overloaded`"
    )
    argon2_time: int = _setting("DEFARM_ARGON2_TIME", Integer(1, 10), "2", "argon2id passes")
    argon2_memory_kib: int = _setting(
        "DEFARM_ARGON2_MEMORY_KIB", Integer(8_192, 1_048_576), "19456", "argon2id memory, KiB per hash"
    )
    argon2_parallelism: int = _setting("DEFARM_ARGON2_PARALLELISM", Integer(1, 8), "1", "argon2id lanes")
    setup_token: bool = _setting(
        "DEFARM_SETUP_TOKEN", Boolean(), "true", "print a setup token while no administrator exists"
    )
    limiter: str = _setting(
        "DEFARM_LIMITER",
        Choice(("auto", "memory", "redis")),
        "auto",
        "where requests are counted; `auto` = `redis` when REDIS_URL is set, else `memory`",
    )
    limit_anonymous: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_ANONYMOUS", Limit(), "300/minute", "per address, without a valid credential"
    )
    limit_user: tuple[Window, ...] = _setting("DEFARM_LIMIT_USER", Limit(), "6000/minute", "per user")
    limit_key: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_KEY", Limit(), "6000/minute", "per API key that has no limit of its own"
    )
    limit_register: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_REGISTER", Limit(), "20/hour", "registrations per address"
    )
    limit_lookup: tuple[Window, ...] = _setting("DEFARM_LIMIT_LOOKUP", Limit(), "60/minute", "user look-ups per user")
    limit_export: tuple[Window, ...] = _setting("DEFARM_LIMIT_EXPORT", Limit(), "20/hour", "exports per user")
    limit_login_pair: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_LOGIN_PAIR",
        Limit(),
        "10/15 minutes",
        "logins per user name and address, counted before verifying, cleared by success",
    )
    limit_login_user: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_LOGIN_USER", Limit(), "50/15 minutes", "failed logins per user name"
    )
    limit_login_ip: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_LOGIN_IP", Limit(), "100/15 minutes", "failed logins per address"
    )
    limit_page_password: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_PAGE_PASSWORD",
        Limit(),
        "10/15 minutes",
        "page passwords per circuit and address, counted before verifying, cleared by success",
    )
    limit_page_password_circuit: tuple[Window, ...] = _setting(
        "DEFARM_LIMIT_PAGE_PASSWORD_CIRCUIT",
        Limit(),
        "200/15 minutes",
        "wrong page passwords per circuit; tokens already issued keep working",
    )
    limit_join: tuple[Window, ...] = _setting("DEFARM_LIMIT_JOIN", Limit(), "20/day", "join requests per user")
    trusted_proxies: tuple[Network, ...] = _setting(
        "DEFARM_TRUSTED_PROXIES", Networks(), "", "peers whose `X-Forwarded-For` is believed"
    )
    cors_origins: tuple[str, ...] = _setting(
        "DEFARM_CORS_ORIGINS", Origins(), "", "exact origins; `*` is allowed, `doctor` warns"
    )
    max_body: int = _setting("DEFARM_MAX_BODY", Size(_KIB, _GIB), "1 MiB", "a JSON body; beyond: `413`")
    max_bulk_body: int = _setting(
        "DEFARM_MAX_BULK_BODY", Size(_KIB, _GIB), "32 MiB", "a body of a bulk route; beyond: `413`"
    )
    max_import_body: int = _setting(
        "DEFARM_MAX_IMPORT_BODY", Size(_KIB, 64 * _GIB), "256 MiB", "an imported file; beyond: `413`"
    )
    max_import_rows: int = _setting(
        "DEFARM_MAX_IMPORT_ROWS", Integer(1, 10_000_000), "200000", "rows of one import; beyond, it fails"
    )
    import_report_days: int = _setting(
        "DEFARM_IMPORT_REPORT_DAYS", Integer(1, 3650), "90", "days the row results of an import are kept"
    )
    dfid_block: int = _setting("DEFARM_DFID_BLOCK", Integer(1, 10_000), "100", "DFID numbers a process takes at once")
    request_timeout: timedelta = _setting(
        "DEFARM_REQUEST_TIMEOUT", Duration(1, 300), "30s", "time budget of a request; bulk four times that"
    )
    max_in_flight: int = _setting(
        "DEFARM_MAX_IN_FLIGHT",
        Integer(1, 100_000),
        "512",
        "requests at once, per process; beyond: `503 overloaded`",
    )
    idempotency_ttl: timedelta = _setting(
        "DEFARM_IDEMPOTENCY_TTL", Duration(_HOUR, 30 * _DAY), "24h", "life of an idempotency key"
    )
    docs: bool = _setting("DEFARM_DOCS", Boolean(), "true", "serve `/docs`")
    hsts: bool = _setting("DEFARM_HSTS", Boolean(), "false", "send Strict-Transport-Security")
    bus: str = _setting(
        "DEFARM_BUS",
        Choice(("auto", "local", "redis", "postgres")),
        "auto",
        "live wake-ups between instances; `auto` = `redis`, else `postgres`, else `local`, by what is "
        "configured; with `local` and several instances `doctor` fails",
    )
    streams_per_user: int = _setting("DEFARM_STREAMS_PER_USER", Integer(1, 100), "10", "open streams per user")
    stream_max_age: timedelta = _setting(
        "DEFARM_STREAM_MAX_AGE", Duration(_MINUTE, _DAY), "1h", "a stream is ended after that"
    )
    metrics_token: bytes | None = _setting(
        "DEFARM_METRICS_TOKEN", Key(16), "", "bearer that may read `/metrics`", secret=True
    )
    log_level: str = _setting(
        "DEFARM_LOG_LEVEL", Choice(("debug", "info", "warning", "error")), "info", "least level written"
    )
    log_format: str = _setting(
        "DEFARM_LOG_FORMAT",
        Choice(("json", "console")),
        "",
        "lines for machines or for people",
        derived="json; console on a terminal",
    )
    log_key: bytes | None = _setting("DEFARM_LOG_KEY", EncodedKey(32), "", "signs audit checkpoints", secret=True)
    audit_personal_days: int = _setting(
        "DEFARM_AUDIT_PERSONAL_DAYS", Integer(1, 3650), "365", "days personal parts of the audit are kept"
    )
    activity_retention_days: int = _setting(
        "DEFARM_ACTIVITY_RETENTION_DAYS", Integer(1, 3650), "730", "days activity is kept"
    )
    drain_delay: timedelta = _setting(
        "DEFARM_DRAIN_DELAY", Duration(0, 60), "2s", "not ready, still serving, before the server stops"
    )
    shutdown_grace: timedelta = _setting(
        "DEFARM_SHUTDOWN_GRACE", Duration(1, 600), "30s", "time for requests in flight to finish"
    )
    instance_id: str = _setting(
        "DEFARM_INSTANCE_ID", Line(64), "", "name of this instance", derived="host name + pid + 4 hex"
    )
    page_token_ttl: timedelta = _setting(
        "DEFARM_PAGE_TOKEN_TTL", Duration(5 * _MINUTE, _DAY), "1h", "life of a page token"
    )
    join_cooldown: timedelta = _setting(
        "DEFARM_JOIN_COOLDOWN", Duration(0, 30 * _DAY), "24h", "wait after a rejection or removal"
    )
    webhook_timeout: timedelta = _setting(
        "DEFARM_WEBHOOK_TIMEOUT", Duration(1, 60), "15s", "a whole attempt of a delivery"
    )
    webhook_workers: int = _setting("DEFARM_WEBHOOK_WORKERS", Integer(1, 256), "16", "parallel attempts per instance")
    webhook_retention: timedelta = _setting(
        "DEFARM_WEBHOOK_RETENTION", Duration(_DAY, 365 * _DAY), "30d", "final deliveries are kept that long"
    )
    webhook_allowed_networks: tuple[Network, ...] = _setting(
        "DEFARM_WEBHOOK_ALLOWED_NETWORKS",
        Networks(),
        "",
        "non-global networks that may be called; `http` URLs are accepted only for addresses inside them",
    )
    sources: Mapping[str, str] = attrs.field(repr=False, factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()

    @property
    def embedded(self) -> bool:
        """Whether the store is the PostgreSQL that the package carries."""
        return self.storage != "memory" and self.database_url is None


FIELDS: Mapping[str, str] = MappingProxyType(
    {field.metadata["setting"].name: field.name for field in attrs.fields(Settings) if "setting" in field.metadata}
)
"""Field of `Settings` by name of the variable."""

REGISTRY: tuple[Setting, ...] = tuple(
    field.metadata["setting"] for field in attrs.fields(Settings) if "setting" in field.metadata
)
"""Every variable, in the order of the reference table."""
