"""Opening sessions and telling their tokens (platform.md 3.2, 3.4)."""

import attrs

from application.accounts.desk import Desk
from application.accounts.values import NamedWorkspace, SignedIn, TokenPair
from application.secrets import OpaqueSecret, SecretKind, mint
from domain.accounts.rules import dies_at, standing_of
from domain.accounts.values import Account, RefreshToken, Session, Workspace
from domain.act import Act
from domain.ids import new_id
from domain.instants import MICROSECOND
from domain.ports.queries import Between, Select
from domain.ports.schema import REFRESH_TOKENS, SESSIONS

MOST = 1000


@attrs.frozen
class Opened:
    """A session of this unit with its first refresh token."""

    session: Session
    refresh: OpaqueSecret


async def open_session(desk: Desk, act: Act, account: Account) -> Opened:
    """Add a session of `account`, ending the least recently used ones beyond the bound.

    The unit must add or save the account too, so that two openings at once count each other.
    """
    await _make_room(desk, act, account)
    session = _new_session(desk, act, account)
    refresh = mint(SecretKind.REFRESH)
    await act.unit.add(SESSIONS, session)
    await act.unit.add(REFRESH_TOKENS, new_token(desk, act, session, refresh))
    return Opened(session, refresh)


async def _make_room(desk: Desk, act: Act, account: Account) -> None:
    alive = Between(act.now + MICROSECOND)
    query = Select({"standing": standing_of(account.user_id, account.token_epoch), "dies_at": alive}, ("last_used_at",))
    held = (await act.unit.page(SESSIONS, query, limit=MOST)).items
    surplus = max(0, len(held) + 1 - desk.settings.max_sessions)
    await act.unit.save(SESSIONS, *(ended(session, act, "replaced") for session in held[:surplus]))


def ended(session: Session, act: Act, reason: str) -> Session:
    """Return the revoked session; `reason` is `logout`, `revoked`, `reuse` or `replaced`."""
    return attrs.evolve(session, revoked_at=act.now, revoke_reason=reason, version=session.version + 1)


def _new_session(desk: Desk, act: Act, account: Account) -> Session:
    return Session(
        session_id=new_id(),
        user_id=account.user_id,
        epoch=account.token_epoch,
        created_at=act.now,
        last_used_at=act.now,
        expires_at=act.now + desk.settings.refresh_token_ttl,
        ends_at=act.now + desk.settings.session_max_age,
        address=act.principal.address,
        user_agent=act.principal.user_agent,
    )


def new_token(desk: Desk, act: Act, session: Session, refresh: OpaqueSecret) -> RefreshToken:
    """Return the record of a refresh token."""
    return RefreshToken(desk.peppers.stored(refresh).current, session.session_id, act.now)


def token_pair(desk: Desk, act: Act, account: Account, workspace: Workspace, opened: Opened) -> TokenPair:
    """Return both tokens of a session, the access token fresh."""
    session = opened.session
    access = desk.tokens.issue(
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        session_id=session.session_id,
        epoch=account.token_epoch,
        session_ends_at=dies_at(session),
        now=act.now,
    )
    return TokenPair(
        access_token=access.text,
        token_type="Bearer",  # noqa: S106 -- the scheme, no secret
        expires_in=int((access.expires_at - act.now.replace(microsecond=0)).total_seconds()),
        expires_at=access.expires_at,
        refresh_token=opened.refresh.text,
        refresh_expires_at=dies_at(session),
        session_id=session.session_id,
        user=SignedIn(
            account.user_id, account.username, account.display_name, account.is_admin, account.workspace_role
        ),
        workspace=NamedWorkspace.of(workspace),
    )
