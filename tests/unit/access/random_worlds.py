"""Random worlds: consistent ones, where each key stands for one fact, and contradictory ones."""

from datetime import datetime
from typing import Any

import attrs
from hypothesis import strategies as st

from domain.access.decide import Action
from domain.access.facts import (
    CircuitFact,
    EventFact,
    Facts,
    ItemFact,
    MemberFact,
    OperationFact,
    PageFact,
    PlacementFact,
    PullFact,
    RequestFact,
    ShareFact,
    Target,
    TransferFact,
)
from domain.access.permissions import Permission
from domain.access.principal import Principal, PrincipalKind, Scope, WorkspaceRole
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    JoinRequestStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
    PublicAccessMode,
    TransferStatus,
)
from tests.unit.access.worlds import EARLIER, JOINED, LATER, NOW

CIRCUITS, USERS, WORKSPACES, ITEMS = ("C", "E"), ("ana", "rita"), ("mill", "farm"), ("D", "F")

circuit_ids = st.sampled_from(CIRCUITS)
user_ids = st.sampled_from(USERS)
workspace_ids = st.sampled_from(WORKSPACES)
item_ids = st.sampled_from(ITEMS)
instants: st.SearchStrategy[datetime] = st.sampled_from((EARLIER, NOW, LATER))
starts: st.SearchStrategy[datetime] = st.sampled_from((JOINED, EARLIER))
permission_sets = st.frozensets(st.sampled_from(Permission))
# True half of the time, so that rare grounds are met
flags = st.booleans()

FACTS: dict[str, st.SearchStrategy[Any]] = {
    "circuits": st.builds(
        CircuitFact,
        circuit_ids,
        st.sampled_from((CircuitStatus.ACTIVE, *CircuitStatus)),
        user_ids,
        flags,
        flags,
        flags,
        flags,
        st.sampled_from(PublicAccessMode),
        st.none() | instants,
        st.integers(0, 1),
    ),
    "members": st.builds(
        MemberFact,
        circuit_ids,
        user_ids,
        st.sampled_from((MembershipStatus.ACTIVE, *MembershipStatus)),
        permission_sets,
        starts,
        st.just("some"),
    ),
    "items": st.builds(ItemFact, item_ids, workspace_ids, st.sampled_from(ItemStatus)),
    "shares": st.builds(
        ShareFact, item_ids, user_ids, st.none() | instants, st.none() | st.just(EARLIER), st.just("S")
    ),
    "transfers": st.builds(
        TransferFact,
        item_ids,
        workspace_ids,
        workspace_ids,
        st.sampled_from((TransferStatus.OPEN, *TransferStatus)),
        instants,
        st.just("T") | st.none(),
    ),
    "placements": st.builds(
        PlacementFact,
        circuit_ids,
        item_ids,
        st.sampled_from(("P1", "P2")),
        workspace_ids,
        workspace_ids,
        flags,
        flags,
        st.none() | st.just(EARLIER),
    ),
    "pulls": st.builds(PullFact, circuit_ids, item_ids, user_ids, st.sampled_from(("P1", "P2")), starts, st.just("O")),
    "events": st.builds(
        EventFact,
        st.just("V"),
        item_ids,
        st.sampled_from(EventVisibility),
        workspace_ids,
        st.none() | circuit_ids,
        st.none() | user_ids,
    ),
    "operations": st.builds(
        OperationFact,
        st.just("O"),
        circuit_ids,
        st.sampled_from(OperationType),
        user_ids,
        workspace_ids,
        st.sampled_from((OperationStatus.PENDING, *OperationStatus)),
        starts,
    ),
    "requests": st.builds(RequestFact, st.just("R"), circuit_ids, user_ids, st.sampled_from(JoinRequestStatus)),
    "pages": st.builds(PageFact, circuit_ids, st.integers(0, 1), instants),
}

KEYS = {
    "circuits": ("circuit_id",),
    "members": ("circuit_id", "user_id"),
    "items": ("dfid",),
    "shares": ("dfid", "recipient_user_id"),
    "transfers": ("dfid",),
    "placements": ("circuit_id", "dfid"),
    "pulls": ("placement_id", "requester_id"),
    "events": ("event_id",),
    "operations": ("operation_id",),
    "requests": ("request_id",),
    "pages": ("circuit_id",),
}

targets = st.builds(
    Target,
    st.none() | circuit_ids,
    st.none() | item_ids,
    st.none() | st.just("V"),
    st.none() | st.just("O"),
    st.none() | st.just("R"),
    st.none() | st.just("T"),
    st.none() | user_ids,
    st.none() | permission_sets,
    flags,
    st.lists(permission_sets, max_size=2).map(tuple),
    st.none() | st.sampled_from(EventVisibility),
    flags,
)

actions = st.sampled_from(Action)

principals = st.builds(
    Principal,
    st.sampled_from(PrincipalKind),
    st.none() | user_ids,
    st.none() | workspace_ids,
    flags,
    st.none() | st.sampled_from(WorkspaceRole),
    st.none() | st.frozensets(st.sampled_from(Scope)),
)
users = st.builds(
    Principal,
    st.just(PrincipalKind.USER),
    user_ids,
    workspace_ids,
    flags,
    st.sampled_from(WorkspaceRole),
)


def _key(name: str) -> Any:
    return lambda fact: tuple(getattr(fact, part) for part in KEYS[name])


# two questions in three name the circuit and the item that most facts are about
_pointed = st.just(Target("C", "D", "V", "O", "R", "T", "ana"))

consistent = st.builds(
    Facts,
    target=_pointed | targets | _pointed.map(lambda target: attrs.evolve(target, circuit_id=None)),
    **{name: st.lists(fact, max_size=4, unique_by=_key(name)).map(tuple) for name, fact in FACTS.items()},
)
contradictory = st.builds(
    Facts, target=targets, **{name: st.lists(fact, max_size=4).map(tuple) for name, fact in FACTS.items()}
)
