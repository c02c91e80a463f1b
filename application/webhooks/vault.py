"""What a webhook keeps from everybody but its receiver (circuits.md 1.8)."""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime

import attrs

from application.sealing import Seal, SealForeign
from domain.webhooks.rules import secret_text
from domain.webhooks.values import Webhook

SECRET_BYTES = 32


@attrs.frozen
class Kept:
    """Signing secrets, as `whsec_…`, and headers to be sent along."""

    secret: str = attrs.field(repr=False)
    previous: str | None = attrs.field(default=None, repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def signing(self, webhook: Webhook, now: datetime) -> list[str]:
        """Return the secrets that sign now, newest first."""
        graced = webhook.previous_until is not None and now < webhook.previous_until
        return [self.secret, self.previous] if graced and self.previous is not None else [self.secret]


def new_secret() -> str:
    """Return a fresh signing secret."""
    return secret_text(secrets.token_bytes(SECRET_BYTES))


@attrs.frozen
class Vault:
    """Seals what webhooks keep."""

    seal: Seal

    def close(self, kept: Kept) -> str:
        """Return the stored form."""
        return b64encode(self.seal.seal(json.dumps(attrs.asdict(kept)).encode())).decode()

    def renewed(self, webhook: Webhook) -> str | None:
        """Return the stored form under the current key, None when it is that already or cannot be read."""
        sealed = b64decode(webhook.sealed)
        if self.seal.is_current(sealed):
            return None
        try:
            return self.close(self.open(webhook))
        except SealForeign:
            return None

    def open(self, webhook: Webhook) -> Kept:
        """Return what a webhook keeps. Raises SealForeign after a change of keys without the previous one."""
        return Kept(**json.loads(self.seal.open(b64decode(webhook.sealed))))
