"""Bytes that only this deployment can read again."""

import os
from collections.abc import Sequence

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from application.secrets import derive_key

_NONCE = 12


class SealForeign(Exception):
    """What should be opened was sealed under another root key, or changed."""


@attrs.frozen
class Seal:
    """AES-256-GCM under keys derived for one purpose; seals under the first, opens under any."""

    ciphers: Sequence[AESGCM] = attrs.field(repr=False)

    @classmethod
    def of(cls, purpose: str, root: bytes, previous: bytes | None = None) -> "Seal":
        """Derive the keys from DEFARM_SECRET_KEY and DEFARM_SECRET_KEY_PREVIOUS."""
        roots = (root,) if previous is None else (root, previous)
        return cls(tuple(AESGCM(derive_key(key, purpose)) for key in roots))

    def seal(self, data: bytes) -> bytes:
        """Return `data` encrypted; sealing twice gives different results."""
        nonce = os.urandom(_NONCE)
        return nonce + self.ciphers[0].encrypt(nonce, data, None)

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether this was sealed under the first key."""
        try:
            self.ciphers[0].decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
        except (InvalidTag, ValueError):
            return False
        return True

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed. Raises SealForeign."""
        for cipher in self.ciphers:
            try:
                return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
            except (InvalidTag, ValueError):
                continue
        raise SealForeign("this was sealed under another key")
