"""Random worlds: consistent ones, where each key stands for one fact, and contradictory ones."""

from collections.abc import Iterable
from datetime import datetime
from itertools import product, starmap
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st

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


contradictory = st.builds(
    Facts, target=targets, **{name: st.lists(fact, max_size=4).map(tuple) for name, fact in FACTS.items()}
)


@attrs.define
class Dice:
    """Throws for a dense world: most facts are there and most of them fit, so that rare grounds are met."""

    random: Random

    def often(self) -> bool:
        return self.random.random() < 0.8

    def even(self) -> bool:
        return self.random.random() < 0.5

    def usually(self, usual: Any, others: Iterable[Any]) -> Any:
        return usual if self.often() else self.random.choice(tuple(others))

    def permissions(self) -> frozenset[Permission]:
        return frozenset(each for each in Permission if self.often())

    def circuit(self, circuit_id: str) -> CircuitFact:
        return CircuitFact(
            circuit_id,
            self.usually(CircuitStatus.ACTIVE, CircuitStatus),
            self.random.choice((*USERS, "olga", "olga")),
            *(self.even() for _ in range(4)),
            self.random.choice(tuple(PublicAccessMode)),
            self.random.choice((EARLIER, LATER)),
        )

    def member(self, circuit_id: str, user_id: str) -> MemberFact:
        status = self.usually(MembershipStatus.ACTIVE, MembershipStatus)
        return MemberFact(circuit_id, user_id, status, self.permissions(), JOINED, "some")

    def placement(self, circuit_id: str, dfid: str) -> PlacementFact:
        owner = "mill" if dfid == "F" else "farm"
        by = self.usually(owner, (*WORKSPACES, "dairy"))
        return PlacementFact(circuit_id, dfid, f"P{circuit_id}{dfid}", owner, by, self.even(), self.even())

    def pull(self, circuit_id: str, dfid: str) -> PullFact:
        since = self.usually(JOINED, (EARLIER,))
        return PullFact(circuit_id, dfid, self.usually("ana", USERS), f"P{circuit_id}{dfid}", since, "O")

    def target(self) -> Target:
        return Target(
            self.usually("C", (None, "E")),
            self.random.choice(ITEMS),
            "V",
            "O",
            "R",
            "T",
            self.usually("ana", ("rita", "olga", None)),
            self.permissions() if self.even() else None,
            self.random.random() < 0.1,
            (self.permissions(),) if self.even() else (),
            self.random.choice((None, *EventVisibility)),
            self.even(),
        )

    def subjects(self) -> dict[str, tuple[Any, ...]]:
        """The event, operation, request, offer and share asked about."""
        pick = self.random.choice
        start = self.usually(JOINED, (EARLIER,))
        return {
            "events": (
                EventFact("V", pick(ITEMS), pick(tuple(EventVisibility)), pick((*WORKSPACES, "dairy")), "C", "ana"),
            ),
            "operations": (
                OperationFact(
                    "O",
                    self.usually("C", CIRCUITS),
                    self.usually(OperationType.PUSH, OperationType),
                    pick(USERS),
                    pick((*WORKSPACES, "dairy")),
                    self.usually(OperationStatus.PENDING, OperationStatus),
                    start,
                ),
            ),
            "requests": (RequestFact("R", self.usually("C", CIRCUITS), pick(USERS)),),
            "transfers": (
                TransferFact(
                    pick(ITEMS),
                    *self.random.sample((*WORKSPACES, "dairy"), 2),
                    self.usually(TransferStatus.OPEN, TransferStatus),
                    pick((EARLIER, LATER)),
                    "T",
                ),
            ),
            "shares": (ShareFact(pick(ITEMS), pick(USERS), pick((None, EARLIER, LATER)), None, "S"),),
        }


def dense_world(seed: int) -> Facts:
    """Return the consistent world of a seed: item D of `farm`, F of `mill`, in circuits C and E."""
    dice = Dice(Random(seed))
    every = tuple(product(CIRCUITS, ITEMS))
    known: dict[str, Iterable[Any]] = {
        "circuits": map(dice.circuit, CIRCUITS),
        "members": starmap(dice.member, product(CIRCUITS, USERS)),
        "items": (
            ItemFact("D", "farm", dice.usually(ItemStatus.ACTIVE, ItemStatus)),
            ItemFact("F", "mill", dice.usually(ItemStatus.ACTIVE, ItemStatus)),
        ),
        "placements": starmap(dice.placement, every),
        "pulls": starmap(dice.pull, every),
        "pages": (PageFact(each, dice.random.randint(0, 1), LATER) for each in CIRCUITS),
        **dice.subjects(),
    }
    kept = {name: tuple(fact for fact in facts if dice.often()) for name, facts in known.items()}
    return Facts(dice.target(), **kept)


consistent = st.integers(0, 2**48).map(dense_world)
