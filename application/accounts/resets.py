"""Password resets: a token that an administrator issues and passes on (platform.md 2.1, 3.5)."""

from datetime import timedelta

import attrs

from application.accounts.desk import Desk, changed
from application.accounts.values import IssuedReset, PasswordResetUse
from application.secrets import SecretKind, StoredForms, mint, parse
from domain.access.principal import Principal
from domain.accounts.rules import is_active
from domain.accounts.values import Account, PasswordReset
from domain.act import Act
from domain.errors import Invalid, Refusal
from domain.ids import new_id
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS, PASSWORD_RESETS
from domain.ports.storage import Reader, Unit

LIFE = timedelta(hours=1)


@attrs.frozen
class PasswordResets:
    desk: Desk

    async def issue(self, act: Act, account: Account) -> IssuedReset:
        """Add a reset of an account in this unit; it voids the older ones. Raises Refusal `account_not_active`."""
        if not is_active(account):
            raise Refusal("account_not_active", "The account is frozen.")
        await void_resets(act.unit, account.user_id)
        await act.unit.confirm(ACCOUNTS, account)
        return await self.issue_first(act, account)

    async def issue_first(self, act: Act, account: Account) -> IssuedReset:
        """Add a reset of an account that this unit makes."""
        secret = mint(SecretKind.PASSWORD_RESET)
        reset = PasswordReset(
            reset_id=new_id(),
            user_id=account.user_id,
            token_hash=self.desk.peppers.stored(secret).current,
            created_by=act.principal.user_id,
            created_at=act.now,
            expires_at=act.now + LIFE,
        )
        await act.unit.add(PASSWORD_RESETS, reset)
        return IssuedReset(secret.text, reset.expires_at)

    async def use(self, principal: Principal, request: PasswordResetUse) -> None:
        """Set a new password with a reset token, once. Raises Refusal `reset_invalid`, `overloaded`; Invalid."""
        secret = parse(request.reset_token, SecretKind.PASSWORD_RESET)
        if secret is None:
            raise _invalid()
        forms = self.desk.peppers.stored(secret)
        async with self.desk.units.storage.read() as reader:
            _, known = await self._usable(reader, forms)
        faults = self.desk.password_faults(
            request.new_password, username=known.username, email=known.email, pointer="/new_password"
        )
        if faults:
            raise Invalid(faults)
        encoded = await self.desk.passwords.hash(request.new_password)

        async def work(act: Act) -> None:
            reset, account = await self._usable(act.unit, forms)
            used = attrs.evolve(reset, used_at=act.now, token_hash=forms.current, version=reset.version + 1)
            await act.unit.save(PASSWORD_RESETS, used)
            await void_resets(act.unit, account.user_id)
            account = with_password(account, act, encoded)
            await act.unit.save(ACCOUNTS, account)
            await act.audit("password.reset", ("user", account.user_id), workspace_id=account.workspace_id)
            await tell_password_changed(act, account, "reset")

        await self.desk.units.perform(principal, work)

    async def _usable(self, reader: Reader, forms: StoredForms) -> tuple[PasswordReset, Account]:
        """Return an open reset and its active account. Raises Refusal `reset_invalid`."""
        page = await reader.page(PASSWORD_RESETS, Select({"token_hash": AnyOf(forms.all)}), limit=1)
        reset = page.items[0] if page.items else None
        if reset is None or reset.used_at is not None or self.desk.now() >= reset.expires_at:
            raise _invalid()
        account = await reader.find(ACCOUNTS, reset.user_id)
        if account is None or not is_active(account):
            raise _invalid()
        return reset, account


async def void_resets(unit: Unit, user_id: str) -> None:
    """Remove the unused resets of a user."""
    page = await unit.page(PASSWORD_RESETS, Select({"user_id": user_id}), limit=1000)
    await unit.remove(PASSWORD_RESETS, *(reset for reset in page.items if reset.used_at is None))


def with_password(account: Account, act: Act, encoded: str) -> Account:
    """Return the account with another password; every session ends."""
    return changed(
        account, act.now, password_hash=encoded, password_changed_at=act.now, token_epoch=account.token_epoch + 1
    )


async def tell_password_changed(act: Act, account: Account, by: str) -> None:
    """Notify a user that the password changed; `by` is `self` or `reset`."""
    await act.notify("password_changed", [account.user_id], source_id=new_id(), data={"by": by}, myself=True)


def _invalid() -> Refusal:
    return Refusal("reset_invalid", "The reset token is unknown, used, expired or void.")
