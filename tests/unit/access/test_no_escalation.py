"""Law 9 of circuits.md 2.8: nobody gains what none of those who act held."""

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.access.decide import Action, decide
from domain.access.facts import Facts, MemberFact, Target
from domain.access.permissions import ALL_PERMISSIONS, ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.principal import Principal, PrincipalKind
from tests.unit.access.random_worlds import permission_sets
from tests.unit.access.worlds import JOINED, NOW, circuit, member

ACTORS = ("ana", "rita", "otto")
NEWCOMER = "nina"
ROLES = ("inspector", "helper")

steps = st.tuples(
    st.sampled_from(("add", "change", "join", "define")),
    st.sampled_from((*ACTORS, NEWCOMER)),
    st.sampled_from((*ACTORS, NEWCOMER, "olga")),
    st.sampled_from((*BaseRole, *ROLES)),
    permission_sets,
)


@attrs.define
class Play:
    """A circuit of `olga`, played by the others: what each member holds and which role it comes from."""

    roles: dict[str, frozenset[Permission]]
    held: dict[str, frozenset[Permission]]
    carries: dict[str, str] = attrs.Factory(dict)

    def _members(self) -> tuple[MemberFact, ...]:
        holders = {"olga": ALL_PERMISSIONS} | self.held
        return tuple(member(held, user_id=each, joined_at=JOINED) for each, held in holders.items())

    def _may(self, actor: str, action: Action, **target: object) -> bool:
        facts = Facts(
            Target("C", **target),  # type: ignore[arg-type]
            circuits=(circuit(),),
            members=self._members(),
        )
        return decide(Principal(PrincipalKind.USER, actor, actor), action, facts, NOW).allowed

    def step(self, kind: str, actor: str, target: str, role: str, new: frozenset[Permission]) -> None:
        """Try one operation as `actor`, and apply it when it is allowed."""
        if kind == "define":
            if role in self.roles and self._may(actor, Action.ROLE_UPDATE, defined=(self.roles[role], new)):
                self.roles[role] = new
                self.held |= {each: new for each, carried in self.carries.items() if carried == role}
            return
        action = {"add": Action.MEMBER_ADD, "change": Action.MEMBER_CHANGE_ROLE, "join": Action.JOIN_DECIDE}[kind]
        granted = self.roles[role] if role in self.roles else ROLE_PERMISSIONS[BaseRole(role)]
        is_member = target == "olga" or target in self.held
        fits = is_member if kind == "change" else not is_member
        named = {"user_id": target} if kind == "change" else {}
        if fits and self._may(actor, action, granted=granted, grants_owner=role == "owner", **named):
            self.held[target] = granted
            self.carries[target] = role


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(ACTORS, permission_sets)),
    st.fixed_dictionaries(dict.fromkeys(ROLES, permission_sets)),
    st.lists(steps, max_size=25),
)
def test_no_sequence_of_allowed_operations_gives_anybody_what_none_of_the_actors_held(
    held: dict[str, frozenset[Permission]],
    roles: dict[str, frozenset[Permission]],
    played: list[tuple[str, str, str, str, frozenset[Permission]]],
) -> None:
    play = Play(roles=dict(roles), held=dict(held))
    together = frozenset().union(*held.values())
    for step in played:
        play.step(*step)
        assert frozenset().union(*play.held.values()) <= together
        assert "olga" not in play.held
