"""The server process dies at each statement of a push in turn, and nothing of it is left.

Scenarios 16 and 35 of circuits.md and items-events.md, in this order.
"""

from typing import Any

import pytest

from adapters.postgres import transactions as postgres
from application.circuits.requests import PushBatch, PushElement
from domain.ports.errors import StorageError
from domain.ports.schema import FACETS, ITEMS, MAPPINGS, PLACEMENTS
from tests.application.circuits.world import World, sisbov

DIE = postgres.Call("select pg_terminate_backend(pg_backend_pid())", [])


class DyingServer:
    """Ends the server process before the statement of that number, once; counts the statements of each unit."""

    def __init__(self) -> None:
        self.dies_before: int | None = None
        self.statements = 0

    def install(self, patch: pytest.MonkeyPatch) -> None:
        whole = postgres.Transaction.steps

        def dying(transaction: postgres.Transaction) -> list[postgres.Step]:
            steps = whole(transaction)
            self.statements = len(steps)
            if self.dies_before is not None:
                steps.insert(self.dies_before, DIE)
                self.dies_before = None
            return steps

        patch.setattr(postgres.Transaction, "steps", dying)


@pytest.mark.parametrize("storage", ["postgres"], indirect=True)
async def test_a_push_of_a_draft_that_fails_anywhere_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    server = DyingServer()
    server.install(monkeypatch)
    local_id = await world.draft(ana, sisbov(1), peso=412.5)
    before = await _everything(world)
    tried = 0
    while True:
        server.dies_before = tried
        try:
            await world.push_local(ana, circuit_id, local_id)
        except StorageError:
            assert await _everything(world) == before, f"statement {tried} left something"
            tried += 1
            assert tried <= 60
            if tried > server.statements:
                break
        else:
            raise AssertionError("the server did not die")
    pushed = await world.push_local(ana, circuit_id, local_id)
    assert (pushed.outcome, pushed.item_outcome) == ("placed", "created")
    assert tried > 8
    assert [len(await world.rows(facet)) for facet in (ITEMS, MAPPINGS, PLACEMENTS)] == [1, 1, 1]


@pytest.mark.parametrize("storage", ["postgres"], indirect=True)
async def test_a_batch_that_fails_anywhere_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    dfids = [await world.item(ana, sisbov(number)) for number in range(1, 6)]
    batch = PushBatch(tuple(PushElement(dfid=dfid) for dfid in dfids))
    server = DyingServer()
    server.install(monkeypatch)
    before = await _everything(world)
    tried = 0
    while tried == 0 or tried <= server.statements:
        server.dies_before = tried
        with pytest.raises(StorageError):
            await world.circuits.push_batch(ana, circuit_id, batch)
        assert await _everything(world) == before, f"statement {tried} left something"
        tried += 1
    result = await world.circuits.push_batch(ana, circuit_id, batch)
    assert result.counts["placed"] == 5


async def _everything(world: World) -> dict[str, list[Any]]:
    return {facet.name: await world.rows(facet) for facet in FACETS}
