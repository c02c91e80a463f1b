"""Canonical bytes (RFC 8785) and what is hashed over them (items-events.md 10.4, platform.md 6.1)."""

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value. Integers beyond 2**53-1 and non-finite numbers raise ValueError."""
    return rfc8785.dumps(value)


def sha256_hex(data: bytes) -> str:
    """Return the lower-case hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical bytes of `value`, in lower-case hexadecimal."""
    return sha256_hex(canonical(value))
