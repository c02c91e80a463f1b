"""What accounts take from the configuration (platform.md 11)."""

from datetime import timedelta

import attrs

from application.secrets import derive_key
from application.settings import Settings


@attrs.frozen(kw_only=True)
class AccountSettings:
    """`registration` is `open`, `invite` or `closed`; `name_key` turns names of nobody into digests for the audit."""

    name_key: bytes = attrs.field(repr=False)
    registration: str = "open"
    password_min_length: int = 10
    refresh_token_ttl: timedelta = timedelta(days=30)
    refresh_grace: timedelta = timedelta(seconds=30)
    session_max_age: timedelta = timedelta(days=90)
    max_sessions: int = 20

    @classmethod
    def of(cls, settings: Settings) -> "AccountSettings":
        """Return the part of the configuration that accounts read."""
        return cls(
            name_key=derive_key(settings.secret_key, "defarm/name-digest"),
            registration=settings.registration,
            password_min_length=settings.password_min_length,
            refresh_token_ttl=settings.refresh_token_ttl,
            refresh_grace=settings.refresh_grace,
            session_max_age=settings.session_max_age,
            max_sessions=settings.max_sessions,
        )
