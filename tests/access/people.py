"""Who is who in the matrix: groups of the cast, which may differ while the circuit is not active."""

from typing import Self

import attrs

from domain.access.permissions import ROLE_PERMISSIONS, BaseRole, Permission
from tests.access.world import NOBODY, ONE_PERMISSION, ROLES

Names = frozenset[str]


@attrs.frozen
class Group:
    """Names while the circuit is private, while its page is open, and while it is inactive or archived."""

    private: Names
    open: Names
    closed: Names

    def of(self, state: str) -> Names:
        """Return who belongs to it in a state of the circuit."""
        return {"private": self.private, "open": self.open}.get(state, self.closed)

    def __or__(self, other: Self) -> "Group":
        return Group(self.private | other.private, self.open | other.open, self.closed | other.closed)

    def __sub__(self, other: Self) -> "Group":
        return Group(self.private - other.private, self.open - other.open, self.closed - other.closed)

    @property
    def while_active(self) -> "Group":
        """The same people, and nobody while the circuit is inactive or archived."""
        return Group(self.private, self.open, NOBODY)

    @property
    def while_open(self) -> "Group":
        """The same people while the public page is open, and nobody otherwise."""
        return Group(NOBODY, self.open, NOBODY)


def some(*names: str) -> Group:
    """These people."""
    return Group(frozenset(names), frozenset(names), frozenset(names))


def holding(permission: Permission | str) -> Group:
    """The members of the circuit who hold a permission."""
    by_role = (name for name in ROLES if permission in ROLE_PERMISSIONS[BaseRole(name)])
    single = (name for name, held in ONE_PERMISSION.items() if held == permission)
    return some("owner", *by_role, *single)


nobody = some()
owner = some("owner")
members = some("owner", *ROLES, *ONE_PERMISSION, "bare")
"""Active members of the circuit, whatever they may do."""
home = some("member", "colleague")
"""The workspace that owns the item, the draft, the queue and the import; `colleague` is no member of the circuit."""
users = members | some("colleague", "removed", "asker", "friend", "stranger", "operator")
"""Everybody whose credential is valid."""
anybody = users | some("anonymous", "frozen")
"""Everybody, with a valid credential or without."""
visitors = (users | some("anonymous")).while_open
"""Everybody who may read the public page: a credential that is sent must be valid."""
managers = users - some("colleague")
"""Everybody who is a manager of their own workspace."""
administrator = some("operator")
"""The administrator, who is no member of the circuit; being one opens nothing but the administration."""
readers = home | some("friend") | holding("pull").while_active
"""Who may view the item: its workspace, who it was shared with, and readers of the circuit."""
knowing = members | users.while_open
"""Who may know the circuit: its members, and users while its page is open."""
