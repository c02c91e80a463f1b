"""Rotating refresh tokens, and noticing that one was copied (platform.md 3.5)."""

import os
from base64 import b64decode, b64encode

import attrs
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from application.accounts.desk import Desk, as_user
from application.accounts.opening import Opened, ended, new_token, token_pair
from application.accounts.values import Refresh, TokenPair
from application.secrets import OpaqueSecret, SecretKind, mint, parse
from domain.access.principal import Principal
from domain.accounts.rules import is_active, session_holds
from domain.accounts.values import Account, RefreshToken, Session
from domain.act import Act
from domain.errors import Refusal
from domain.ports.schema import ACCOUNTS, REFRESH_TOKENS, SESSIONS, WORKSPACES

_NONCE = 12


@attrs.frozen
class _Found:
    """A known token with its live session and account."""

    token: RefreshToken
    session: Session
    account: Account


@attrs.frozen
class Refreshing:
    desk: Desk

    async def refresh(self, principal: Principal, request: Refresh) -> TokenPair:
        """Replace a refresh token by its successor, or tell the same successor again within the grace.

        A used token shown later ends its session. Raises Refusal `refresh_invalid`.
        """
        secret = parse(request.refresh_token, SecretKind.REFRESH)
        if secret is None:
            raise _invalid()

        async def work(act: Act) -> TokenPair | Refusal:
            found = await self._find(act, secret)
            if found.token.used_at is None:
                return await self._rotate(act, found, secret)
            if act.now - found.token.used_at <= self.desk.settings.refresh_grace:
                return await self._repeat(act, found, secret)
            await self._end_copied(act, found)
            return _invalid()

        return await self.desk.units.perform(principal, work)

    async def _find(self, act: Act, secret: OpaqueSecret) -> _Found:
        """Return what a token stands for; one found under the previous root key is moved under the current one."""
        forms = self.desk.peppers.stored(secret)
        known = await act.unit.get_many(REFRESH_TOKENS, forms.all)
        token = next((known[form] for form in forms.all if form in known), None)
        if token is None:
            raise _invalid()
        session = await act.unit.get(SESSIONS, token.session_id)
        account = await act.unit.get(ACCOUNTS, session.user_id)
        if not is_active(account) or not session_holds(session, account, act.now):
            raise _invalid()
        if token.token_hash != forms.current:
            await act.unit.remove(REFRESH_TOKENS, token)
            token = attrs.evolve(token, token_hash=forms.current, version=1)
            await act.unit.add(REFRESH_TOKENS, token)
        return _Found(token, session, account)

    async def _rotate(self, act: Act, found: _Found, secret: OpaqueSecret) -> TokenPair:
        successor = mint(SecretKind.REFRESH)
        used = attrs.evolve(
            found.token,
            used_at=act.now,
            successor_sealed=_seal(secret, found.session, successor),
            version=found.token.version + 1,
        )
        session = attrs.evolve(
            found.session,
            last_used_at=act.now,
            expires_at=act.now + self.desk.settings.refresh_token_ttl,
            address=act.principal.address,
            user_agent=act.principal.user_agent,
            version=found.session.version + 1,
        )
        await act.unit.save(REFRESH_TOKENS, used)
        await act.unit.add(REFRESH_TOKENS, new_token(self.desk, act, session, successor))
        await act.unit.save(SESSIONS, session)
        return await self._pair(act, found.account, Opened(session, successor))

    async def _repeat(self, act: Act, found: _Found, secret: OpaqueSecret) -> TokenPair:
        """Tell the successor again, while nobody has used it."""
        successor = _open(secret, found.session, found.token.successor_sealed or "")
        forms = self.desk.peppers.stored(successor)
        known = await act.unit.get_many(REFRESH_TOKENS, forms.all)
        if not known or any(token.used_at is not None for token in known.values()):
            raise _invalid()
        return await self._pair(act, found.account, Opened(found.session, successor))

    async def _end_copied(self, act: Act, found: _Found) -> None:
        """End the session of a token that somebody shows although it was replaced: one of two holders is a thief."""
        session, account = found.session, found.account
        await act.unit.save(SESSIONS, ended(session, act, "reuse"))
        acting = attrs.evolve(act, principal=as_user(act.principal, account, session.session_id))
        await acting.audit("session.reuse_detected", ("user", account.user_id), workspace_id=account.workspace_id)
        await acting.notify(
            "session_reuse_detected",
            [account.user_id],
            source_id=session.session_id,
            data={"session_id": session.session_id},
            myself=True,
        )

    async def _pair(self, act: Act, account: Account, opened: Opened) -> TokenPair:
        workspace = await act.unit.get(WORKSPACES, account.workspace_id)
        return token_pair(self.desk, act, account, workspace, opened)


def _key(secret: OpaqueSecret, session: Session) -> AESGCM:
    salt = session.session_id.encode()
    derived = HKDF(hashes.SHA256(), 32, salt=salt, info=b"defarm/successor").derive(secret.text.encode())
    return AESGCM(derived)


def _seal(secret: OpaqueSecret, session: Session, successor: OpaqueSecret) -> str:
    """Return the successor, readable only to who holds the token it replaces."""
    nonce = os.urandom(_NONCE)
    return b64encode(nonce + _key(secret, session).encrypt(nonce, successor.text.encode(), None)).decode()


def _open(secret: OpaqueSecret, session: Session, sealed: str) -> OpaqueSecret:
    raw = b64decode(sealed)
    text = _key(secret, session).decrypt(raw[:_NONCE], raw[_NONCE:], None).decode()
    return OpaqueSecret(SecretKind.REFRESH, text)


def _invalid() -> Refusal:
    return Refusal("refresh_invalid", "The refresh token is unknown, used or void.")
