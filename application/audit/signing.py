"""Naming the log and signing its checkpoints (platform.md 6.4)."""

import hashlib
from base64 import b64decode, b64encode

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.audit.log import Checkpoint, note

_ED25519 = b"\x01"


@attrs.frozen
class NoteSigner:
    """Signs in the signed-note form; without a `seed` of 32 bytes checkpoints bear no signature."""

    store_id: str
    seed: bytes | None = attrs.field(repr=False, default=None)

    @property
    def origin(self) -> str:
        return f"defarm-audit/{self.store_id}"

    def sign(self, size: int, root_hash: str) -> str | None:
        """Return the signature line of a checkpoint."""
        if self.seed is None:
            return None
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        signed = key.sign(note(self.origin, size, root_hash).encode())
        marked = _key_hash(self.origin, key.public_key()) + signed
        return f"\u2014 {self.origin} {b64encode(marked).decode()}"

    def verified(self, checkpoint: Checkpoint) -> bool:
        """Tell whether a checkpoint bears the signature of this key; without a key any will do."""
        if self.seed is None:
            return True
        if checkpoint.signature is None:
            return False
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        try:
            marked = b64decode(checkpoint.signature.rsplit(" ", 1)[1])
            public.verify(marked[4:], note(checkpoint.origin, checkpoint.tree_size, checkpoint.root_hash).encode())
        except (InvalidSignature, ValueError, IndexError):
            return False
        return marked[:4] == _key_hash(checkpoint.origin, public)


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]
