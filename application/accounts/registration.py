"""New accounts: registering, the first administrator, the command line (platform.md 2.3, 12.3, 13)."""

import hmac
import secrets

import attrs

from application.accounts.desk import Desk, account_exists, as_user, normal_email, refuse_taken, taken, workspace_named
from application.accounts.invitations import usable_invitation, used
from application.accounts.opening import Opened, open_session, token_pair
from application.accounts.roster import administrators, enrol, setup_done
from application.accounts.values import NewAdministrator, Registration, Setup, TokenPair
from application.secrets import SecretKind, parse
from application.store_life import STORE_KEY
from domain.access.principal import Principal, WorkspaceRole
from domain.accounts.rules import folded_name
from domain.accounts.values import Account, Invitation, Workspace
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, INVITATIONS, STORE, WORKSPACES
from domain.ports.storage import Reader


@attrs.frozen
class Newcomer:
    """Checked facts of an account to be. `workspace_name` None stands for one made of the user name."""

    username: str
    email: str
    password_hash: str | None = attrs.field(repr=False)
    display_name: str
    workspace_name: str | None
    locale: str = "en"


@attrs.frozen
class Registrations:
    """Makes accounts. Uniqueness is decided by the store; what lost a race is decided anew on fresh facts."""

    desk: Desk

    async def register(self, principal: Principal, request: Registration) -> TokenPair:
        """Make an account in a workspace of its own or, by invitation, in the inviter's, and sign it in.

        Raises Invalid; Refusal `registration_closed`, `invitation_invalid`, `account_exists`,
        `workspace_name_taken`.
        """
        mode, token = self.desk.settings.registration, request.invitation_token
        if mode == "closed" or (mode == "invite" and token is None):
            raise Refusal("registration_closed", "This server takes no registrations of this kind.")
        newcomer = await self._checked(request, invited=token is not None)

        async def work(act: Act) -> TokenPair:
            if token is None:
                return await self._founded(act, newcomer, "account.registered")
            invitation = await usable_invitation(self.desk, act, token, newcomer.email)
            return await self._invited(act, newcomer, invitation)

        return await self.desk.units.perform(principal, work)

    async def setup_token(self) -> str | None:
        """Return the setup token, None once an administrator exists."""
        async with self.desk.units.storage.read() as reader:
            return None if await administrators(reader) else await self._setup_token(reader)

    async def setup(self, principal: Principal, request: Setup) -> TokenPair:
        """Make the first administrator. Raises Invalid; Refusal `setup_done`, `setup_invalid` and as `register`."""
        await self._admit_setup(principal, request.setup_token)
        newcomer = await self._checked(request, invited=False)

        async def work(act: Act) -> TokenPair:
            return await self._founded(act, newcomer, "setup.completed", is_admin=True)

        return await self.desk.units.perform(principal, work)

    async def create_admin(self, principal: Principal, request: NewAdministrator) -> Account:
        """Make an administrator without a session, in the named workspace, made when there is none of that name.

        For the command line. Raises Invalid; Refusal `account_exists`.
        """
        newcomer = await self._checked(request, invited=False)

        async def work(act: Act) -> Account:
            await refuse_taken(act.unit, (newcomer.username, newcomer.email.lower()))
            account = new_account(act, newcomer, new_id(), WorkspaceRole.MANAGER, is_admin=True)
            name = newcomer.workspace_name
            known = await workspace_named(act.unit, folded_name(name)) if name else None
            if known is None:
                known = await found_workspace(act, newcomer, account)
            account = attrs.evolve(account, workspace_id=known.workspace_id)
            await act.unit.add(ACCOUNTS, account)
            await enrol(act, account.user_id)
            await act.audit("account.created", ("user", account.user_id), workspace_id=account.workspace_id)
            return account

        return await self.desk.units.perform(principal, work)

    async def _checked(self, request: Registration | Setup | NewAdministrator, *, invited: bool) -> Newcomer:
        """Return what the request amounts to, its password hashed. Raises Invalid with every fault."""
        faults: list[Fault] = []
        email = normal_email(request.email, faults)
        faults += self.desk.password_faults(
            request.password, username=request.username, email=email, pointer="/password"
        )
        if invited and request.workspace_name is not None:
            faults.append(Fault("not_allowed", "The invitation names the workspace.", "/workspace_name"))
        if faults:
            raise Invalid(faults)
        return Newcomer(
            username=request.username,
            email=email,
            password_hash=await self.desk.passwords.hash(request.password),
            display_name=request.display_name,
            workspace_name=request.workspace_name,
            locale=request.locale,
        )

    async def _founded(self, act: Act, newcomer: Newcomer, action: str, *, is_admin: bool = False) -> TokenPair:
        """Add a workspace with its first user."""
        account = new_account(act, newcomer, new_id(), WorkspaceRole.MANAGER, is_admin=is_admin)
        name_taken = await taken(act.unit, (newcomer.username, newcomer.email.lower()))
        if is_admin:
            # Read after the names and told before them: of two setups for one name the other hears that it is done.
            await enrol(act, account.user_id, first=True)
        if name_taken:
            raise account_exists()
        workspace = await found_workspace(act, newcomer, account)
        return await self._signed_in(act, account, workspace, action)

    async def _invited(self, act: Act, newcomer: Newcomer, invitation: Invitation) -> TokenPair:
        """Add a user to the workspace of an invitation."""
        await refuse_taken(act.unit, (newcomer.username, newcomer.email.lower()))
        workspace = await act.unit.get(WORKSPACES, invitation.workspace_id)
        account = new_account(act, newcomer, workspace.workspace_id, invitation.workspace_role)
        await act.unit.save(INVITATIONS, used(invitation, act, account.user_id))
        pair = await self._signed_in(act, account, workspace, "account.registered", invitation.invitation_id)
        await attrs.evolve(act, principal=as_user(act.principal, account)).notify(
            "invitation_accepted", [invitation.created_by], source_id=invitation.invitation_id
        )
        return pair

    async def _signed_in(
        self, act: Act, account: Account, workspace: Workspace, action: str, invitation_id: str | None = None
    ) -> TokenPair:
        await act.unit.add(ACCOUNTS, account)
        opened: Opened = await open_session(self.desk, act, account)
        acting = attrs.evolve(act, principal=as_user(act.principal, account, opened.session.session_id))
        details = {"invitation_id": invitation_id} if invitation_id else None
        await acting.audit(action, ("user", account.user_id), workspace_id=account.workspace_id, details=details)
        return token_pair(self.desk, act, account, workspace, opened)

    async def _admit_setup(self, principal: Principal, presented: str) -> None:
        async with self.desk.units.storage.read() as reader:
            # In this order: who finds no token because a setup has just ended, finds its administrator.
            token = await self._setup_token(reader)
            if await administrators(reader):
                raise setup_done()
        given = parse(presented, SecretKind.SETUP)
        if token is None or given is None or not hmac.compare_digest(given.text, token):
            await self.desk.record_denial(principal, "access.denied", ("setup", "administrator"), "setup_invalid")
            raise Refusal("setup_invalid", "This is not the setup token of this server.")

    async def _setup_token(self, reader: Reader) -> str | None:
        record = await reader.find(STORE, STORE_KEY)
        if record is None or record.setup_value is None:
            return None
        return self.desk.peppers.setup_token(bytes.fromhex(record.setup_value)).text


def new_account(
    act: Act, newcomer: Newcomer, workspace_id: str, role: WorkspaceRole, *, is_admin: bool = False
) -> Account:
    """Return the account that a newcomer gets."""
    return Account(
        user_id=new_id(),
        workspace_id=workspace_id,
        username=newcomer.username,
        email=newcomer.email,
        password_hash=newcomer.password_hash,
        created_at=act.now,
        updated_at=act.now,
        display_name=newcomer.display_name,
        is_admin=is_admin,
        workspace_role=role,
        locale=newcomer.locale,
        password_changed_at=act.now if newcomer.password_hash is not None else None,
    )


async def found_workspace(act: Act, newcomer: Newcomer, founder: Account) -> Workspace:
    """Add the founder's workspace. Raises Refusal `workspace_name_taken` for a name that was asked for."""
    name = newcomer.workspace_name or newcomer.username
    while await workspace_named(act.unit, folded_name(name)) is not None:
        if newcomer.workspace_name is not None:
            raise Refusal("workspace_name_taken", "Another workspace bears this name.")
        name = f"{newcomer.username} {secrets.token_hex(2)}"
    workspace = Workspace(
        workspace_id=founder.workspace_id,
        name=name,
        folded_name=folded_name(name),
        created_by=founder.user_id,
        created_at=act.now,
        updated_at=act.now,
    )
    await act.unit.add(WORKSPACES, workspace)
    return workspace
