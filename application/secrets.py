"""Opaque secrets: minting, checking, and the form in which the store knows them (platform.md 1.2)."""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 50

_BODY, _CHECKSUM = 40, 6


class SecretKind(Enum):
    """What a secret opens; the value names the kind in key derivation and is part of the stored form."""

    API_KEY = "api_key"
    REFRESH = "refresh"
    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 -- the name of a kind
    SETUP = "setup"

    @property
    def prefix(self) -> str:
        return _PREFIXES[self]


_PREFIXES = {
    SecretKind.API_KEY: "dfm_",
    SecretKind.REFRESH: "dfr_",
    SecretKind.INVITATION: "dfi_",
    SecretKind.PASSWORD_RESET: "dfp_",
    SecretKind.SETUP: "dfs_",
}
_KINDS = {prefix: kind for kind, prefix in _PREFIXES.items()}


@attrs.frozen
class OpaqueSecret:
    """A well-formed secret. `text` is told once, to its holder, and never stored, logged or shown."""

    kind: SecretKind
    text: str = attrs.field(repr=False)


def mint(kind: SecretKind) -> OpaqueSecret:
    """Return a new secret of 238 random bits."""
    return _with_checksum(kind, "".join(secrets.choice(ALPHABET) for _ in range(_BODY)))


def parse(text: str, kind: SecretKind | None = None) -> OpaqueSecret | None:
    """Return the secret, or None for a wrong prefix, length, alphabet or checksum, or another kind than asked."""
    found = _KINDS.get(text[:4])
    if found is None or len(text) != LENGTH or (kind is not None and found is not kind):
        return None
    if not set(text[4:]) <= set(ALPHABET) or checksum(text[:-_CHECKSUM]) != text[-_CHECKSUM:]:
        return None
    return OpaqueSecret(found, text)


def checksum(text: str) -> str:
    """Return CRC-32 of the ASCII text in six digits of base 62."""
    return _base62(zlib.crc32(text.encode("ascii")), _CHECKSUM)


def derive_key(root: bytes, info: str) -> bytes:
    """Return 32 bytes for one purpose: HKDF-SHA-256 of the root key under `info`, without salt."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=info.encode()).derive(root)


@attrs.frozen
class StoredForms:
    """How the store knows a secret: under the current root key, and under the previous one while that rotates."""

    current: str
    previous: str | None = None

    @property
    def all(self) -> tuple[str, ...]:
        """The hashes to look up, in this order; what is found under the second is saved under the first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


@attrs.frozen
class Peppers:
    """The keys that turn secrets into their stored form. Made by `of`; costs two hashes per look-up at most."""

    current: Mapping[SecretKind, bytes] = attrs.field(repr=False)
    previous: Mapping[SecretKind, bytes] | None = attrs.field(default=None, repr=False)

    @classmethod
    def of(cls, root: bytes, previous: bytes | None = None) -> "Peppers":
        """Derive every pepper from DEFARM_SECRET_KEY and DEFARM_SECRET_KEY_PREVIOUS."""
        return cls(_peppers(root), None if previous is None else _peppers(previous))

    def stored(self, secret: OpaqueSecret) -> StoredForms:
        """Return the HMAC-SHA-256 of the whole secret, in lower-case hexadecimal, under each root key."""
        previous = None if self.previous is None else _stored(self.previous, secret)
        return StoredForms(_stored(self.current, secret), previous)

    def setup_token(self, seed: bytes) -> OpaqueSecret:
        """Return the setup token of a store: the same for every instance and every start (platform.md 12.3).

        `seed` is the random value that the store keeps until the first administrator exists.
        """
        stretched = hmac.digest(self.current[SecretKind.SETUP], b"token" + seed, "sha512")
        return _with_checksum(SecretKind.SETUP, _base62(int.from_bytes(stretched), _BODY))


def _peppers(root: bytes) -> Mapping[SecretKind, bytes]:
    return MappingProxyType({kind: derive_key(root, f"defarm/{kind.value}") for kind in SecretKind})


def _stored(peppers: Mapping[SecretKind, bytes], secret: OpaqueSecret) -> str:
    return hmac.new(peppers[secret.kind], secret.text.encode("ascii"), hashlib.sha256).hexdigest()


def _with_checksum(kind: SecretKind, body: str) -> OpaqueSecret:
    text = kind.prefix + body
    return OpaqueSecret(kind, text + checksum(text))


def _base62(number: int, digits: int) -> str:
    """Return the last `digits` digits of `number`, most significant first."""
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text
