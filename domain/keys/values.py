"""API keys and what is counted of their use (platform.md 4)."""

from datetime import datetime
from enum import StrEnum

import attrs


class KeyStatus(StrEnum):
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@attrs.frozen
class ApiKey:
    """A credential that its creator hands to a program. `allowed_networks` are CIDR blocks, none for any address.

    `previous_hash` still opens until `previous_until`. `warned_at` is when the creator was told of the expiry.
    """

    key_id: str
    workspace_id: str
    created_by: str
    name: str
    prefix: str
    secret_hash: str
    scopes: frozenset[str]
    created_at: datetime
    updated_at: datetime
    allowed_networks: tuple[str, ...] = ()
    per_minute: int | None = None
    per_day: int | None = None
    expires_at: datetime | None = None
    notes: str = ""
    previous_hash: str | None = None
    previous_until: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    warned_at: datetime | None = None
    version: int = 1


@attrs.frozen
class KeyUsage:
    """What one key did on one UTC day `YYYY-MM-DD`: all requests, those answered from 400 on but 429, and 429s."""

    key_id: str
    day: str
    requests: int = 0
    errors: int = 0
    limited: int = 0
    version: int = 1


@attrs.frozen
class KeyUse:
    """When a key was last used; apart from the key, so that using one does not change its version."""

    key_id: str
    last_used_at: datetime
    version: int = 1
