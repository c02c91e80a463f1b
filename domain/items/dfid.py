"""DFIDs: the identity of a registered item (items-events.md 2)."""

import re
from datetime import date
from functools import lru_cache

_DFID = re.compile(r"DFID-(\d{8})-(\d{6,12})-([0-9A-F]{1,4})", re.ASCII)


def check_digits(day: str, sequence: str) -> str:
    """Return the check of a date and a sequence: it catches typing errors and proves nothing else."""
    fold = 0
    for byte in (day + sequence).encode("ascii"):
        fold = (fold * 31 + byte) & 0xFFFFFFFF
    return f"{fold % 65535:X}"


def format_dfid(day: str, number: int) -> str:
    """Return the DFID of a number (from 1) of a UTC day `YYYYMMDD`."""
    sequence = f"{number:06d}"
    return f"DFID-{day}-{sequence}-{check_digits(day, sequence)}"


def parse_dfid(text: str) -> str | None:
    """Return the DFID a text stands for, or None. Letters may be lower case; nothing else is repaired."""
    match = _DFID.fullmatch(text.upper()) if text.isascii() else None
    if match is None:
        return None
    day, sequence, check = match.groups()
    well_formed = (
        _is_date(day)
        and int(sequence) >= 1
        and not (len(sequence) > 6 and sequence.startswith("0"))
        and check == check_digits(day, sequence)
    )
    return match.group() if well_formed else None


@lru_cache(64)
def _is_date(day: str) -> bool:
    try:
        date(int(day[:4]), int(day[4:6]), int(day[6:]))
    except ValueError:
        return False
    return True


def numbered(dfid: str) -> tuple[str, int] | None:
    """Return the day and the number of a DFID, None for a text that is none."""
    known = parse_dfid(dfid)
    if known is None:
        return None
    _, day, sequence, _ = known.split("-")
    return day, int(sequence)
