"""The engine as a library: the use cases of one open store."""

import attrs

from application.accounts import Accounts
from application.accounts.desk import account_named, principal_of
from application.activity import Activities
from application.audit import Audit
from application.circuits import Circuits
from application.circuits.pages import Pages
from application.events import Events
from application.imports import Imports
from application.items import Items
from application.items.transfers import Transfers
from application.notifications import Notifications
from application.units import Units
from domain.access.principal import Principal
from domain.errors import not_found
from domain.ports.storage import Storage


@attrs.frozen(kw_only=True)
class Engine:
    """Made by `container.open_engine`; usable inside its block."""

    storage: Storage
    units: Units
    accounts: Accounts
    items: Items
    events: Events
    circuits: Circuits
    pages: Pages
    transfers: Transfers
    imports: Imports
    activities: Activities
    notifications: Notifications
    audit: Audit

    async def principal(self, username: str) -> Principal:
        """Return who an account is, by user name or e-mail. Raises Refusal `not_found`."""
        async with self.storage.read() as reader:
            account = await account_named(reader, username.lower())
        if account is None:
            raise not_found()
        return principal_of(account)
