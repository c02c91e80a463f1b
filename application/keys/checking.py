"""From a presented API key to the principal (platform.md 4)."""

import attrs

from application.authentication import Client
from application.denials import Denial, Denials
from application.secrets import Peppers, SecretKind, StoredForms, parse
from domain.access.principal import Principal, PrincipalKind
from domain.accounts.rules import is_active
from domain.accounts.values import Account
from domain.errors import Refusal
from domain.keys.rules import admits, opens, status_of
from domain.keys.values import ApiKey, KeyStatus
from domain.ports.clock import Clock
from domain.ports.errors import StorageError
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS, API_KEYS
from domain.ports.storage import Reader, Storage


@attrs.frozen
class ApiKeyCheck:
    """Judges API keys by what the store says now, so that what one instance revoked no instance admits."""

    peppers: Peppers
    storage: Storage
    clock: Clock
    denials: Denials

    async def __call__(self, text: str, client: Client) -> Principal:
        """Return the key's principal. A text that cannot be a key costs no store access.

        Raises Refusal `unauthenticated`, `key_revoked`, `key_expired`, `address_not_allowed`; the uses of a known
        key that is dead or comes from a foreign network go to the audit as `api_key.refused`.
        """
        secret = parse(text, SecretKind.API_KEY)
        if secret is None:
            raise _unknown()
        forms = self.peppers.stored(secret)
        async with self.storage.read() as reader:
            key = await self._holder(reader, forms)
            if key is None:
                raise _unknown()
            [account] = await client.ahead.read(reader, key.created_by, (ACCOUNTS, key.created_by))
            if account is None:
                raise _unknown()
        principal = key_principal(key, account, client)
        self._require(key, account, principal)
        if forms.previous is not None and forms.previous in (key.secret_hash, key.previous_hash):
            await self._move_under_current_root(key, forms)
        return principal

    async def again(self, principal: Principal) -> None:
        """Judge a principal once more that was admitted a while ago. Raises as the first time."""
        async with self.storage.read() as reader:
            key = await reader.find(API_KEYS, principal.key_id or "")
            account = await reader.find(ACCOUNTS, principal.user_id or "")
        if key is None or account is None:
            raise _unknown()
        self._require(key, account, principal)

    async def _holder(self, reader: Reader, forms: StoredForms) -> ApiKey | None:
        """Return the key that a secret opens."""
        for column in ("secret_hash", "previous_hash"):
            page = await reader.page(API_KEYS, Select({column: AnyOf(forms.all)}), limit=1)
            if page.items and opens(page.items[0], forms.all, self.clock.now()):
                return page.items[0]
        return None

    def _require(self, key: ApiKey, account: Account, principal: Principal) -> None:
        match status_of(key, self.clock.now()):
            case KeyStatus.REVOKED:
                raise self._refused(key, principal, Refusal("key_revoked", "The API key was revoked."))
            case KeyStatus.EXPIRED:
                raise self._refused(key, principal, Refusal("key_expired", "The API key has expired."))
        if not is_active(account):
            raise _unknown()
        if not admits(key, principal.address):
            told = Refusal("address_not_allowed", "The API key may not be used from this address.")
            raise self._refused(key, principal, told)

    def _refused(self, key: ApiKey, principal: Principal, refusal: Refusal) -> Refusal:
        resource = ("api_key", key.key_id)
        self.denials.note(Denial(principal, "api_key.refused", resource, refusal.code, workspace_id=key.workspace_id))
        return refusal

    async def _move_under_current_root(self, key: ApiKey, forms: StoredForms) -> None:
        """Store a hash made with the previous root key under the current one; the next use does it otherwise."""
        moved = attrs.evolve(
            key,
            secret_hash=forms.current if key.secret_hash == forms.previous else key.secret_hash,
            previous_hash=forms.current if key.previous_hash == forms.previous else key.previous_hash,
            version=key.version + 1,
        )
        try:
            async with self.storage.write() as unit:
                await unit.save(API_KEYS, moved)
        except StorageError:
            return


def key_principal(key: ApiKey, account: Account, client: Client) -> Principal:
    """Return the principal of a key: what its creator may do now, within its scopes."""
    return Principal(
        kind=PrincipalKind.API_KEY,
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        scopes=key.scopes,
        key_id=key.key_id,
        address=client.address,
        user_agent=client.user_agent,
        locale=account.locale,
        trace_id=client.trace_id,
        expires_at=key.expires_at,
        per_minute=key.per_minute,
        per_day=key.per_day,
    )


def _unknown() -> Refusal:
    return Refusal("unauthenticated", "The credential is not valid.")
