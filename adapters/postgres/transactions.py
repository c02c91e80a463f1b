"""What a unit becomes: the statements of one transaction, and how they are sent."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import attrs

from adapters.caching.guard import Guard
from adapters.changes import Changes, FacetChanges, order_key, ordered
from adapters.postgres.codec import encode, encode_all
from adapters.postgres.prepared import Call, PreparingConnection
from adapters.postgres.statements import STATEMENTS, copy_text
from adapters.postgres.writers import WROTE, Mark
from domain.ports.schema import Facet, Key

COPY_FROM = 200
"""From this many new rows of one facet on, COPY is faster than arrays."""

_PORTION = 250
"""Rows that are handed to COPY at a time."""

MOST_UNITS = 32
"""Units that commit in one transaction: of more, some are written here while PostgreSQL carries the others out."""

GATE = 0x6361636865
"""The advisory lock that writers share from their check of the rights to the cache on, and openers hold alone."""

_UNIT_SECONDS = 30.0
BULK_SECONDS = 120.0


@attrs.frozen(eq=False)
class Transaction:
    """The changes of one unit, or of several that touch different rows, and the rights that they depend on.

    `sent` are the new rows that the transaction holds already, by facet and key.
    """

    changes: Changes
    guard: Guard | None = None
    mark: Mark | None = None
    sent: Mapping[str, Mapping[Key, Any]] = attrs.field(factory=dict)

    @property
    def bulk(self) -> bool:
        """Whether rows are copied, which takes a transaction of its own and more time."""
        return any(len(change.adds) >= COPY_FROM for change in self.changes if change.facet.serial is None)

    @property
    def patience(self) -> float:
        """Seconds after which a server that has not answered is given up."""
        return BULK_SECONDS if self.bulk else _UNIT_SECONDS

    async def send(self, connection: PreparingConnection) -> None:
        """Send every statement, as one transaction."""
        if self.bulk:
            async with patiently(connection):
                await carry_out(connection, self.steps())
        else:
            await connection.ask(*[step for step in self.steps() if isinstance(step, Call)])

    def steps(self) -> "list[Step]":
        """Return what is still to be sent, in order."""
        steps = [step for change in self.changes for step in _steps(change, self.sent.get(change.facet.name, {}))]
        if self.guard is not None:
            steps += _demanding(self.guard)
        if self.mark is not None:
            steps.insert(0, Call(WROTE, self.mark.parameters))
        return steps


_CHANGED = object()


class Group:
    """Units that may commit in one transaction: no two touch the same row, but to rely on it at one version."""

    def __init__(self) -> None:
        self._units: list[Transaction] = []
        self._touched: dict[tuple[str, Key], object] = {}

    def admit(self, unit: Transaction) -> bool:
        """Take a unit in, if it goes with those that are in already."""
        touched = {(change.facet.name, key): how for change in unit.changes for key, how in _touching(change)}
        if self._units and not (
            len(self._units) < MOST_UNITS
            and _rights(unit.guard) == _rights(self._units[0].guard)
            and all(row not in self._touched or self._touched[row] == how != _CHANGED for row, how in touched.items())
        ):
            return False
        self._units.append(unit)
        self._touched |= touched
        return True


def united(units: Sequence[Transaction]) -> Transaction:
    """Return the one transaction of units that a Group took in."""
    if len(units) == 1:
        return units[0]
    whole: dict[str, FacetChanges] = {}
    for change in (change for unit in units for change in unit.changes):
        into = whole.get(change.facet.name)
        if into is None:
            into = whole[change.facet.name] = FacetChanges(change.facet)
        into.adds |= change.adds
        into.saves |= change.saves
        into.removes |= change.removes
        into.confirms |= change.confirms
    guards = [unit.guard for unit in units if unit.guard is not None]
    return Transaction(ordered(whole), min(guards, key=lambda guard: guard.deadline, default=None))


def _touching(change: FacetChanges) -> Iterator[tuple[Key, object]]:
    for rows in (change.adds, change.saves, change.removes):
        for key in rows:
            yield key, _CHANGED
    yield from change.confirms.items()


def _rights(guard: Guard | None) -> object:
    """Return what must be alike for two units to depend on the same rights."""
    return None if guard is None else (guard.generation, guard.open, guard.life)


@attrs.frozen
class Copy:
    """Many new rows of a unit."""

    facet: Facet[Any]
    values: list[Any]

    def portions(self) -> Iterator[bytes]:
        """Yield the rows as COPY takes them, some at a time: all at once would take as much memory again."""
        for start in range(0, len(self.values), _PORTION):
            yield copy_text(_columns(self.facet, self.values[start : start + _PORTION]))

    async def send(self, connection: PreparingConnection) -> None:
        """Copy the rows, within the transaction that was begun."""
        async with connection.cursor() as cursor, cursor.copy(STATEMENTS[self.facet.name].copy) as copy:
            for lines in self.portions():
                await copy.write(lines)


Step = Call | Copy


@asynccontextmanager
async def patiently(connection: PreparingConnection) -> AsyncIterator[None]:
    """Make the block one transaction, whose statements may take longer than others."""
    async with connection.transaction():
        await connection.execute(f"set local statement_timeout = '{BULK_SECONDS:.0f}s'")
        yield


async def carry_out(connection: PreparingConnection, steps: Iterable[Step]) -> None:
    """Send one statement after the other; COPY has no place in a pipeline."""
    for step in steps:
        await (step.send(connection) if isinstance(step, Copy) else connection.ask(step))


def _steps(change: FacetChanges, sent: Mapping[Key, Any]) -> Iterator[Step]:
    """Yield the statements of one facet: what is relied on, what goes, what changes, what is new.

    Rows are met in the order of their keys. Where a unit both relies on rows and changes others, one statement takes
    them all before, in that order.
    """
    facet, statements = change.facet, STATEMENTS[change.facet.name]
    if change.confirms and (change.removes or change.saves):
        yield Call(statements.lock, _key_columns(facet, {*change.confirms, *change.removes, *change.saves}))
    if change.confirms:
        yield _keyed(facet, change.confirms, statements.confirm_one, statements.confirm)
    if change.removes:
        removed = {key: version for key, (_, version) in change.removes.items()}
        yield _keyed(facet, removed, statements.delete_one, statements.delete)
    if len(change.saves) == 1:
        [(value, version)] = change.saves.values()
        yield Call(statements.update_one, [*statements.parameters(value, encode(value)), version, 1])
    elif change.saves:
        saves = sorted(change.saves.values(), key=lambda save: facet.key_of(save[0]))
        columns = _columns(facet, [value for value, _ in saves])
        expected = [[version for _, version in saves], len(saves)]
        if facet.unique and facet.versioned:
            yield Call(statements.release, [columns[place] for place in statements.handed])
        yield Call(statements.update, [*columns, *expected])
    yield from _additions(facet, _unsent(change, sent))


def _unsent(change: FacetChanges, sent: Mapping[Key, Any]) -> list[Any]:
    """Return the new rows that are still to be sent. Raises ValueError when one that was sent has changed since."""
    if any(change.adds.get(key) is not value for key, value in sent.items()):
        raise ValueError(f"a row of {change.facet.name} that was said to be final has changed")
    return [value for key, value in change.adds.items() if key not in sent] if sent else list(change.adds.values())


def _demanding(guard: Guard) -> list[Step]:
    """Return what ends the unit unless the rights to the cache stand; the last statements, to hold the gate briefly."""
    demanded = [guard.generation, guard.open, guard.life, guard.deadline]
    return [
        Call("select pg_advisory_xact_lock_shared(%s)", [GATE]),
        Call("select defarm_cache_guard(%s, %s, %s, %s)", demanded),
    ]


def _additions(facet: Facet[Any], values: list[Any]) -> Iterator[Step]:
    statements = STATEMENTS[facet.name]
    if facet.serial is None:
        values = _in_order(facet, values)
        if len(values) == 1:
            yield Call(statements.insert_one, statements.parameters(values[0], encode(values[0])))
            return
        if len(values) >= COPY_FROM:
            yield Copy(facet, values)
            return
    if values:
        yield Call(statements.insert, _columns(facet, values))


def _in_order(facet: Facet[Any], values: list[Any]) -> list[Any]:
    """Return new rows in the order of what others may wait for: a unique key before the key."""
    names = (*(facet.unique[0] if facet.unique else ()), *facet.key)
    places = (tuple(map(facet.columns[name], values)) for name in names)
    known = [order_key(place) if None in place else place for place in places]
    return [row[-1] for row in sorted(zip(*known, count(), values, strict=False))]


def _key_columns(facet: Facet[Any], keys: Iterable[Key]) -> list[list[str]]:
    inorder: list[Any] = sorted(keys)
    return [inorder] if len(facet.key) == 1 else [list(part) for part in zip(*inorder, strict=True)]


def _keyed(facet: Facet[Any], versions: Mapping[Key, int | None], one: str, many: str) -> Call:
    """Return the statement that meets rows at their versions: `one` row, or `many`."""
    if len(versions) == 1:
        [(key, version)] = versions.items()
        return Call(one, [*([key] if isinstance(key, str) else key), version, 1])
    return Call(many, [*_key_columns(facet, versions), [versions[key] for key in sorted(versions)], len(versions)])


def _columns(facet: Facet[Any], values: list[Any]) -> list[list[Any]]:
    return STATEMENTS[facet.name].transposed(values, encode_all(values))
