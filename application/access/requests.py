"""What may be asked about access (circuits.md 2.6, 2.7)."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final

import attrs

from domain.access.actions import Action
from domain.errors import Fault, Invalid
from domain.shape import Dfid, Id, Line

_ITEM: Final = "dfid"
_IN_CIRCUIT: Final = ("circuit_id", _ITEM)

NEEDED: Final[Mapping[Action, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys(Action, ("circuit_id",)),
        Action.CIRCUIT_CREATE: (),
        Action.AUDIT_VIEW_ALL: (),
        Action.ITEM_VIEW: (_ITEM,),
        Action.ITEM_VIEW_PUBLIC: (_ITEM,),
        Action.ITEM_VIEW_OFFER: (_ITEM,),
        Action.ITEM_CHANGE: (_ITEM,),
        Action.ITEM_ENRICH: (_ITEM,),
        Action.TRANSFER_OFFER: (_ITEM,),
        Action.EVENT_APPEND: (_ITEM,),
        Action.ITEM_PUSH: _IN_CIRCUIT,
        Action.ITEM_WITHDRAW: _IN_CIRCUIT,
        Action.ITEM_PUBLISH: _IN_CIRCUIT,
        Action.ITEM_UNPUBLISH: _IN_CIRCUIT,
        Action.PLACEMENT_VIEW: _IN_CIRCUIT,
        Action.CIRCUIT_PULL: _IN_CIRCUIT,
        Action.EVENT_VIEW: ("event_id",),
        Action.EVENT_VIEW_PUBLIC: ("event_id",),
        Action.OPERATION_VIEW: ("operation_id",),
        Action.OPERATION_PREVIEW: ("operation_id",),
        Action.OPERATION_DECIDE: ("operation_id",),
        Action.OPERATION_CANCEL: ("operation_id",),
        Action.JOIN_VIEW: ("request_id",),
        Action.JOIN_CANCEL: ("request_id",),
        Action.TRANSFER_VIEW: ("transfer_id",),
        Action.TRANSFER_DECIDE: ("transfer_id",),
        Action.TRANSFER_CANCEL: ("transfer_id",),
        Action.NOTIFICATION_VIEW: ("notification_id",),
        Action.NOTIFICATION_CHANGE: ("notification_id",),
    }
)
"""The ids that an action is about."""

DRAFTS: Final = frozenset({Action.ITEM_VIEW, Action.ITEM_CHANGE, Action.ITEM_PUSH})
"""Actions that may be asked about a draft too, by `local_id`."""

OF_ITEMS: Final = frozenset(
    action for action in Action if action.startswith(("item.", "event.", "placement.", "transfer."))
)
"""Actions that a user of the item's workspace may ask about for others."""

OF_EVENTS: Final = frozenset({Action.EVENT_VIEW, Action.EVENT_VIEW_PUBLIC, Action.EVENT_APPEND})


_OBJECTS: Final = (
    "circuit_id",
    "dfid",
    "local_id",
    "event_id",
    "operation_id",
    "request_id",
    "transfer_id",
    "notification_id",
)


@attrs.frozen
class Explain:
    """An action, the objects it is about, and whose it would be: the caller's own when `user_id` is left out."""

    action: Action
    circuit_id: Id | None = None
    dfid: Dfid | None = None
    local_id: Id | None = None
    event_id: Id | None = None
    operation_id: Id | None = None
    request_id: Id | None = None
    transfer_id: Id | None = None
    notification_id: Id | None = None
    user_id: Id | None = None

    def check(self) -> None:
        """Demand the ids of the action. Raises Invalid."""
        if faults := tuple(self._faults()):
            raise Invalid(faults)

    def _faults(self) -> Iterator[Fault]:
        draft = self.local_id is not None and self.action in DRAFTS
        for name in NEEDED[self.action]:
            if getattr(self, name) is None and not (draft and name == _ITEM):
                yield Fault("required", f"{self.action} is about a {name}.", parameter=name)
        if draft and self.dfid is not None:
            yield Fault("not_allowed", "Name the item once.", parameter="local_id")

    @property
    def named(self) -> dict[str, str]:
        """The ids that were given."""
        return {name: value for name in _OBJECTS if (value := getattr(self, name)) is not None}


@attrs.frozen
class Preview:
    """As whom: a member, or somebody with a role."""

    as_: Id | None = None
    role: Annotated[str, Line(1, 40)] | None = None

    def check(self) -> None:
        """Demand exactly one of the two. Raises Invalid."""
        if (self.as_ is None) == (self.role is None):
            raise Invalid([Fault("required", "Name a member, or a role.", parameter="as")])
