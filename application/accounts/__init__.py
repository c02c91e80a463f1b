"""Accounts and workspaces: everything of platform.md 2 and 3 but the credentials of a request."""

from functools import cached_property

import attrs

from application.accounts.administration import Administration
from application.accounts.desk import Desk
from application.accounts.guard import LoginGuard
from application.accounts.invitations import Invitations
from application.accounts.logins import Logins
from application.accounts.profiles import Profiles
from application.accounts.provisioning import Provisioning
from application.accounts.refreshing import Refreshing
from application.accounts.registration import Registrations
from application.accounts.resets import PasswordResets
from application.accounts.sessions import Sessions
from application.accounts.settings import AccountSettings
from application.accounts.workspaces import Workspaces

__all__ = ["AccountSettings", "Accounts", "Desk"]


@attrs.frozen(slots=False)
class Accounts:
    """The use cases of accounts, by what they are about."""

    desk: Desk

    @cached_property
    def registrations(self) -> Registrations:
        return Registrations(self.desk)

    @cached_property
    def logins(self) -> Logins:
        return Logins(self.desk, LoginGuard(self.desk))

    @cached_property
    def refreshing(self) -> Refreshing:
        return Refreshing(self.desk)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.desk)

    @cached_property
    def profiles(self) -> Profiles:
        return Profiles(self.desk, self.logins)

    @cached_property
    def workspaces(self) -> Workspaces:
        return Workspaces(self.desk)

    @cached_property
    def invitations(self) -> Invitations:
        return Invitations(self.desk)

    @cached_property
    def resets(self) -> PasswordResets:
        return PasswordResets(self.desk)

    @cached_property
    def administration(self) -> Administration:
        return Administration(self.desk, self.resets)

    @cached_property
    def provisioning(self) -> Provisioning:
        return Provisioning(self.desk, self.resets)
