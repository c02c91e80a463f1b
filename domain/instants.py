"""Instants: aware, UTC, microseconds (items-events.md 1.1)."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

MICROSECOND = timedelta(microseconds=1)

_RFC3339 = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:[0-5]\d)(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


@lru_cache(256)
def wire(instant: datetime) -> str:
    """Return `2026-03-01T12:00:00.000000Z`, always with six digits.

    Batches write the same few instants, which are remembered.
    """
    known = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return known.isoformat(timespec="microseconds")[:26] + "Z"


def parse_instant(text: str) -> datetime | None:
    """Read RFC 3339 with any offset; digits beyond microseconds are cut off.

    Returns None for anything else: no offset, second 60, a year outside 1900-9999 (http.md 2).
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    day, time, fraction, offset = match.groups()
    zone = "+00:00" if offset in "Zz" else offset
    try:
        parsed = datetime.fromisoformat(f"{day}T{time}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.year >= 1900 else None


def strictly_after(previous: datetime | None, now: datetime) -> datetime:
    """Return `now`, or one microsecond past `previous` when the clock is behind (items-events.md 1.4, 10.1)."""
    return now if previous is None else max(now, previous + MICROSECOND)
