"""Identities minted by the server (items-events.md 1.1)."""

import re

import uuid_utils

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """Mint a UUID version 7 (RFC 9562), lower case with hyphens. Unique whatever the clock does: 74 bits are random."""
    return str(uuid_utils.uuid7())


def parse_id(text: str) -> str | None:
    """Return the canonical form of an RFC 9562 UUID of any version, or None. Upper case is accepted."""
    folded = text.lower()
    return folded if _UUID.fullmatch(folded) else None
