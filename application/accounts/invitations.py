"""Invitations into a workspace (platform.md 2.1, 2.3)."""

from datetime import timedelta

import attrs

from application.accounts.desk import Desk, normal_email
from application.accounts.standing import touch_workspace
from application.accounts.values import InvitationRequest, InvitationView, IssuedInvitation
from application.secrets import SecretKind, mint, parse
from domain.access.principal import Principal
from domain.accounts.values import Invitation
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.instants import MICROSECOND
from domain.ports.queries import AnyOf, Between, Cursor, Page, Select
from domain.ports.schema import INVITATIONS
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version

MOST_OPEN = 100


@attrs.frozen
class Invitations:
    """What managers do with the invitations of their workspace. Whether the caller is one was checked before."""

    desk: Desk

    async def create(self, principal: Principal, request: InvitationRequest) -> IssuedInvitation:
        """Issue an invitation. Raises Invalid; Refusal `quota_reached` at 100 open ones."""
        faults: list[Fault] = []
        email = normal_email(request.email, faults) if request.email is not None else None
        if faults:
            raise Invalid(faults)

        async def work(act: Act) -> IssuedInvitation:
            await self._refuse_beyond(act)
            secret = mint(SecretKind.INVITATION)
            invitation = Invitation(
                invitation_id=new_id(),
                workspace_id=act.workspace_id,
                workspace_role=request.workspace_role,
                email=email,
                token_hash=self.desk.peppers.stored(secret).current,
                created_by=act.user_id,
                created_at=act.now,
                expires_at=act.now + timedelta(seconds=request.expires_in_seconds),
            )
            await act.unit.add(INVITATIONS, invitation)
            await _audit(act, "invitation.created", invitation)
            return IssuedInvitation(InvitationView.of(invitation), secret.text)

        return await self.desk.units.perform(principal, work)

    async def page(self, principal: Principal, after: Cursor | None, limit: int) -> Page[InvitationView]:
        """Return the invitations of the caller's workspace, newest first."""
        query = Select({"workspace_id": principal.workspace_id}, ("created_at", "invitation_id"), descending=True)
        async with self.desk.units.storage.read() as reader:
            page = await reader.page(INVITATIONS, query, after, limit)
        return Page(tuple(map(InvitationView.of, page.items)), page.after)

    async def get(self, principal: Principal, invitation_id: str) -> InvitationView:
        """Return one invitation of the caller's workspace. Raises Refusal `not_found`."""
        async with self.desk.units.storage.read() as reader:
            return InvitationView.of(await _own(reader, principal, invitation_id))

    async def revoke(self, principal: Principal, invitation_id: str, if_match: Versions = None) -> None:
        """Revoke an invitation; one that is revoked already stays so. Raises Refusal `not_found`, `invitation_used`."""

        async def work(act: Act) -> None:
            invitation = await _own(act.unit, principal, invitation_id)
            require_version(if_match, invitation.version)
            if invitation.used_at is not None:
                raise Refusal("invitation_used", "The invitation was used.")
            if invitation.revoked_at is None:
                revoked = attrs.evolve(invitation, revoked_at=act.now, version=invitation.version + 1)
                await act.unit.save(INVITATIONS, revoked)
                await _audit(act, "invitation.revoked", invitation)

        await self.desk.units.perform(principal, work)

    async def _refuse_beyond(self, act: Act) -> None:
        """Bound the open invitations; saving the workspace, read before the count, makes issuers count each other."""
        await touch_workspace(act, act.workspace_id)
        query = Select({"workspace_id": act.workspace_id, "open_until_at": Between(act.now + MICROSECOND)})
        page = await act.unit.page(INVITATIONS, query, limit=MOST_OPEN)
        if len(page.items) >= MOST_OPEN:
            raise Refusal("quota_reached", f"A workspace has at most {MOST_OPEN} open invitations.")


async def usable_invitation(desk: Desk, act: Act, token: str, email: str) -> Invitation:
    """Return the open invitation of a token for this address. Raises Refusal `invitation_invalid`."""
    secret = parse(token, SecretKind.INVITATION)
    page = None
    if secret is not None:
        forms = desk.peppers.stored(secret)
        page = await act.unit.page(INVITATIONS, Select({"token_hash": AnyOf(forms.all)}), limit=1)
    found = page.items[0] if page and page.items else None
    if secret is None or found is None or not _is_open(found, act) or not _is_for(found, email):
        raise Refusal("invitation_invalid", "The invitation is unknown, used, expired, or for another address.")
    return attrs.evolve(found, token_hash=desk.peppers.stored(secret).current)


def used(invitation: Invitation, act: Act, user_id: str) -> Invitation:
    """Return the invitation as used by a new user."""
    return attrs.evolve(invitation, used_at=act.now, used_by=user_id, version=invitation.version + 1)


def _is_open(invitation: Invitation, act: Act) -> bool:
    return invitation.used_at is None and invitation.revoked_at is None and act.now < invitation.expires_at


def _is_for(invitation: Invitation, email: str) -> bool:
    return invitation.email is None or invitation.email.lower() == email.lower()


async def _own(reader: Reader, principal: Principal, invitation_id: str) -> Invitation:
    invitation = await reader.find(INVITATIONS, invitation_id)
    if invitation is None or invitation.workspace_id != principal.workspace_id:
        raise not_found(hides=invitation is not None)
    return invitation


async def _audit(act: Act, action: str, invitation: Invitation) -> None:
    await act.audit(action, ("invitation", invitation.invitation_id), workspace_id=invitation.workspace_id)
