"""The administrators: at least one active stays once the first was made (platform.md 2.1, 12.3, 16.3)."""

import attrs

from application.store_life import STORE_KEY
from domain.accounts.values import ROSTER_ID, AdminRoster
from domain.act import Act
from domain.errors import Refusal
from domain.ports.schema import ROSTER, STORE
from domain.ports.storage import Reader


async def administrators(reader: Reader) -> frozenset[str]:
    """Return the ids of the active administrators."""
    roster = await reader.find(ROSTER, ROSTER_ID)
    return roster.user_ids if roster else frozenset()


async def enrol(act: Act, user_id: str, *, first: bool = False) -> None:
    """Add an active administrator; the first one ends the setup token.

    Raises Refusal `setup_done` when it must be the `first` and is not: decided on the row that is then written, or
    two who set up at once could each find no administrator.
    """
    roster = await act.unit.find(ROSTER, ROSTER_ID)
    if first and roster is not None and roster.user_ids:
        raise setup_done()
    if roster is None:
        await act.unit.add(ROSTER, AdminRoster(ROSTER_ID, frozenset({user_id})))
    else:
        await act.unit.save(ROSTER, _with(roster, roster.user_ids | {user_id}))
    record = await act.unit.find(STORE, STORE_KEY)
    if record is not None and record.setup_value is not None:
        await act.unit.save(STORE, attrs.evolve(record, setup_value=None, version=record.version + 1))


async def strike(act: Act, user_id: str) -> None:
    """Take an administrator off the roster. Raises Refusal `last_admin`."""
    roster = await act.unit.get(ROSTER, ROSTER_ID)
    rest = roster.user_ids - {user_id}
    if not rest:
        raise Refusal("last_admin", "The last active administrator stays.")
    await act.unit.save(ROSTER, _with(roster, rest))


def setup_done() -> Refusal:
    """The answer to whoever sets up what is set up."""
    return Refusal("setup_done", "An administrator exists already.")


def _with(roster: AdminRoster, user_ids: frozenset[str]) -> AdminRoster:
    return attrs.evolve(roster, user_ids=user_ids, version=roster.version + 1)
