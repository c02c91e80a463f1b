"""What every list of the engine promises (http.md 7; 18)."""

from typing import Any
from urllib.parse import quote

import attrs
import pytest
import pytest_asyncio

from entrypoints.http.codec import kinds
from entrypoints.http.routing import Route
from tests.access.client import Answer
from tests.access.rows import ROWS
from tests.access.world import World
from tests.contract.examples import request_of
from tests.laws.asking import named
from tests.laws.crowd import SEVERAL, crowd

pytestmark = pytest.mark.asyncio(loop_scope="module")

READERS = ("member", "owner", "operator", "bare", "stranger", "asker", "anonymous")
MOST = 12
"""Pages of one entry that are asked for at most; from then on the last entries stand for the rest."""


@attrs.frozen
class Listed:
    """A list as somebody reads it who sees several entries."""

    world: World
    route: Route
    who: str
    path: str
    items: list[Any]

    async def page(self, limit: int, cursor: str | None = None, more: str = "") -> Answer:
        query = f"limit={limit}" + (f"&cursor={quote(cursor)}" if cursor is not None else "") + more
        answer = await self.world.ask(self.who, "GET", f"{self.path}{'&' if '?' in self.path else '?'}{query}")
        # To ask the audit is audited.
        self.world.backend.rewind()
        return answer

    async def walked(self, limit: int, most: int = 1000) -> list[Any]:
        """Return the entries of the pages of this size, at most so many pages."""
        found: list[Any] = []
        cursor = None
        for _ in range(most):
            answer = await self.page(limit, cursor)
            assert answer.status == 200, named(self.route, answer)
            told = page_of(answer)
            found += told["items"]
            cursor = told["next_cursor"]
            assert (cursor is not None) == ('rel="next"' in answer.headers.get("link", "")), self.route.operation_id
            assert cursor is None or len(told["items"]) == limit, self.route.operation_id
            if cursor is None:
                break
        return found


def page_of(answer: Answer) -> dict[str, Any]:
    """Return the entries and the cursor of a list, which may stand among other members."""
    told: dict[str, Any] = answer.json
    return told if "next_cursor" in told else told["items"]


async def lists(world: World) -> list[Listed]:
    """Return every list, as somebody who sees as much of it as anybody."""
    found = []
    for route in world.app.routes:
        if route.page and route.method == "GET":
            asked = await request_of(world, route)
            path = "&".join(part for part in asked.path.replace("?", "&").split("&") if not part.startswith("limit="))
            path = path.replace("&", "?", 1)
            longest = Listed(world, route, asked.who, path, [])
            for who in {asked.who: None, **dict.fromkeys(READERS)}:
                here = attrs.evolve(longest, who=who)
                answer = await here.page(200)
                if answer.status == 200 and len(page_of(answer)["items"]) > len(longest.items):
                    longest = attrs.evolve(here, items=page_of(answer)["items"])
            found.append(longest)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowded(made: World) -> World:
    """A world in which lists have several entries."""
    await crowd(made)
    made.backend.keep()
    return made


@pytest.fixture
async def listed(crowded: World, world: World) -> list[Listed]:
    return await lists(world)


async def test_law_11_pages_of_any_size_are_one_sequence(listed: list[Listed]) -> None:
    wrong = []
    for each in listed:
        whole = each.items
        if await each.walked(7) != whole:
            wrong.append(f"{each.route.operation_id} by sevens")
        if await each.walked(1, MOST) != whole[:MOST]:
            wrong.append(f"{each.route.operation_id} one by one")
    assert not wrong, "\n".join(wrong)
    assert len(listed) > 30


async def test_law_11_a_cursor_continues_its_own_list_alone(listed: list[Listed]) -> None:
    """Not another list, nor this one with other filters or order, nor with one character changed; any limit will do."""
    cursors = {each.route.operation_id: await _cursor(each) for each in listed if len(each.items) > 1}
    wrong, filtered = [], 0
    for each in listed:
        name = each.route.operation_id
        own = cursors.get(name)
        others = [cursor for other, cursor in cursors.items() if other != name]
        refused = [await each.page(1, others[0]), await each.page(1, others[-1]), await each.page(1, "nonsense")]
        if own is not None:
            refused += [
                await each.page(1, own[:place] + _other(own[place]) + own[place + 1 :]) for place in (0, 20, -2)
            ]
            for more in _filters(each.route, each.path):
                refused.append(await each.page(1, own, f"&{more}"))
                filtered += 1
            if page_of(await each.page(3, own))["items"] != each.items[1:4]:
                wrong.append(f"{name}: another limit leads elsewhere")
        wrong += [named(each.route, answer) for answer in refused if (answer.status, answer.code) != INVALID]
    assert not wrong, "\n".join(wrong)
    assert len(cursors) > 30 and filtered > 20


INVALID = (400, "cursor_invalid")


async def _cursor(of: Listed) -> str:
    answer = await of.page(1)
    assert answer.status == 200, named(of.route, answer)
    cursor: str = page_of(answer)["next_cursor"]
    return cursor


def _other(character: str) -> str:
    return "A" if character != "A" else "B"


def _filters(route: Route, path: str) -> list[str]:
    """Return parameters that a list takes and that were not given."""
    found = []
    for member in kinds.members_of(route.query):
        kind: Any = member.kind.inner if isinstance(member.kind, kinds.NullableKind) else member.kind
        kind = kind.element if isinstance(kind, kinds.ArrayKind) else kind
        if f"{member.name}=" in path:
            continue
        if isinstance(kind, kinds.ChoiceKind):
            usual = member.default if isinstance(member.default, frozenset) else {member.default}
            chosen = next((value for value, held in kind.values.items() if held not in usual), None)
            found += [f"{member.name}={chosen}"] if chosen is not None else []
        elif isinstance(kind, kinds.InstantKind):
            found.append(f"{member.name}=2020-01-01T00:00:00Z")
    return found


async def test_law_11_a_page_costs_the_same_wherever_it_lies_and_however_long_it_is(
    listed: list[Listed], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = []
    for each in listed:
        if len(each.items) < SEVERAL + 1:
            continue
        counts = {}
        asked = Asked(each.world, monkeypatch)
        cursor = await _cursor(each)
        for name, limit, after in (("one", 1, None), ("many", 200, None), ("later", 1, cursor)):
            asked.calls.clear()
            await each.page(limit, after)
            counts[name] = len(asked.calls)
        # Entries of another kind may need facts of two other kinds.
        if max(counts.values()) > min(counts.values()) + 2:
            wrong.append(f"{each.route.operation_id}: {counts} {asked.calls}")
    assert not wrong, "\n".join(wrong)


class Asked:
    """Notes what the store is asked."""

    def __init__(self, world: World, patch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        patch.undo()
        for verb in ("fetch", "select", "count", "view"):
            patch.setattr(world.backend, verb, self._noting(verb, getattr(world.backend, verb)))

    def _noting(self, verb: str, ask: Any) -> Any:
        async def noting(*arguments: Any) -> Any:
            self.calls.append(verb)
            return await ask(*arguments)

        return noting


async def test_every_list_has_a_row_in_the_matrix(world: World) -> None:
    """Law 12: what each kind of principal is sent is compared with the access decision there and in tests/agreement."""
    assert {route.operation_id for route in world.app.routes if route.page} <= ROWS.keys()
