"""Index and seal of personal identifiers under the store's data key (identifiers.md 6)."""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.canonical import canonical

KEY_BYTES = 32
"""Length of a data key."""

_NONCE_BYTES = 12
_VERSION = "v1."


class SealBroken(Exception):
    """A sealed value was changed, moved to another row, or sealed under another key."""


class DataKeyLocked(Exception):
    """The root key does not unwrap the data key of this store."""


def new_data_key() -> bytes:
    """Return 32 random bytes for a store that is started for the first time."""
    return os.urandom(KEY_BYTES)


def wrap_data_key(root: bytes, data_key: bytes) -> str:
    """Return `data_key` encrypted under the root key `root`, as text for the store."""
    return _encrypt(_wrapping(root), data_key, b"")


def unwrap_data_key(root: bytes, wrapped: str) -> bytes:
    """Return the data key. Raises `DataKeyLocked` when `root` is not the key it was wrapped with."""
    try:
        return _decrypt(_wrapping(root), wrapped, b"")
    except SealBroken:
        raise DataKeyLocked(
            "DEFARM_SECRET_KEY does not open the data key of this store. Start with the root key the store was "
            "last used with."
        ) from None


class IdentifierKeys:
    """The index key and the sealing key derived from one data key of 32 bytes; another length is a ValueError."""

    __slots__ = ("_index", "_seal")

    def __init__(self, data_key: bytes) -> None:
        if len(data_key) != KEY_BYTES:
            raise ValueError(f"a data key has {KEY_BYTES} bytes")
        self._index = _derive(data_key, b"defarm/identifier-index/1")
        self._seal = AESGCM(_derive(data_key, b"defarm/identifier-seal/1"))

    def lookup(self, key: str, normalised: str) -> str:
        """Return what stands in indexes in place of a personal value: 64 hexadecimal digits."""
        return hmac.digest(self._index, canonical(["defarm-lookup/1", key, normalised]), "sha256").hex()

    def seal(self, item_key: str, namespace: str | None, key: str, text: str) -> str:
        """Return `text` encrypted for one row; sealing twice gives different results."""
        return _encrypt(self._seal, text.encode(), _row(item_key, namespace, key))

    def open(self, item_key: str, namespace: str | None, key: str, sealed: str) -> str:
        """Return the sealed text. Raises `SealBroken` when it was changed or belongs to another row."""
        return _decrypt(self._seal, sealed, _row(item_key, namespace, key)).decode()


def _row(item_key: str, namespace: str | None, key: str) -> bytes:
    return canonical(["defarm-seal/1", item_key, namespace, key])


def _derive(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def _wrapping(root: bytes) -> AESGCM:
    return AESGCM(_derive(root, b"defarm/identifier-data/1"))


def _encrypt(cipher: AESGCM, data: bytes, associated: bytes) -> str:
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + urlsafe_b64encode(nonce + cipher.encrypt(nonce, data, associated)).decode().rstrip("=")


def _decrypt(cipher: AESGCM, sealed: str, associated: bytes) -> bytes:
    try:
        body = _decoded(sealed)
        return cipher.decrypt(body[:_NONCE_BYTES], body[_NONCE_BYTES:], associated)
    except (InvalidTag, ValueError):
        raise SealBroken("a sealed value does not open") from None


def _decoded(sealed: str) -> bytes:
    if not sealed.startswith(_VERSION):
        raise ValueError("unknown version")
    text = sealed.removeprefix(_VERSION)
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
