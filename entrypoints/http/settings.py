"""What the HTTP layer is told about its deployment (platform.md 11)."""

from datetime import timedelta

import attrs

KIB = 1024
MIB = 1024 * KIB


@attrs.frozen(kw_only=True)
class HttpSettings:
    """Bounds in bytes and seconds; `cors_origins` are exact origins, or `*`; `trusted_proxies` are CIDR texts."""

    version: str
    max_auth_body: int = 16 * KIB
    max_body: int = MIB
    max_bulk_body: int = 32 * MIB
    max_import_body: int = 256 * MIB
    request_timeout: float = 30.0
    body_idle: float = 20.0
    max_in_flight: int = 512
    cors_origins: frozenset[str] = frozenset()
    trusted_proxies: tuple[str, ...] = ()
    hsts: bool = False
    docs: bool = True
    idempotency_ttl: timedelta = timedelta(hours=24)
