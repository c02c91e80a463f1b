"""What is true of accounts, sessions and invitations at an instant (platform.md 2 and 3)."""

import unicodedata
from datetime import datetime

from domain.accounts.values import Account, AccountStatus, Invitation, Session


def folded_name(name: str) -> str:
    """Return the form under which a workspace name is unique: NFKC, case-folded, inner spaces collapsed."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def is_active(account: Account) -> bool:
    return account.status is AccountStatus.ACTIVE


def place_of(account: Account) -> str:
    """Return what has become of an account: `active`, `frozen` or `erased`."""
    return "erased" if account.erased_at is not None else account.status.value


def session_holds(session: Session, account: Account, now: datetime) -> bool:
    """Tell whether a session is active: the account's, not revoked, in time, of the account's present epoch."""
    return (
        session.user_id == account.user_id
        and session.revoked_at is None
        and session.epoch == account.token_epoch
        and now < dies_at(session)
    )


def dies_at(session: Session) -> datetime:
    """Return when a session ends by itself."""
    return min(session.expires_at, session.ends_at)


def over_at(session: Session) -> datetime:
    """Return when a session ended or will end by itself."""
    return session.revoked_at or dies_at(session)


def standing(session: Session) -> str | None:
    """Return what the sessions of one user and epoch share that nobody revoked; None for a revoked one."""
    return None if session.revoked_at is not None else standing_of(session.user_id, session.epoch)


def standing_of(user_id: str, epoch: int) -> str:
    """Return what the unrevoked sessions of a user share at an epoch."""
    return f"{user_id} {epoch}"


def open_until(invitation: Invitation) -> datetime | None:
    """Return when an open invitation expires; None for one that was used or revoked."""
    closed = invitation.used_at is not None or invitation.revoked_at is not None
    return None if closed else invitation.expires_at


def invitee(invitation: Invitation) -> str | None:
    """Return the folded address that an invitation names, None when anybody may use it."""
    return invitation.email.lower() if invitation.email else None
