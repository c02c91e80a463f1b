"""The public page (circuits.md 8, scenarios 34 to 38 and 47)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

import attrs
import pytest

from application.circuits import Circuits
from application.circuits.requests import (
    CreateRole,
    JoinPage,
    Publications,
    PublicRequest,
    UpdateCircuit,
)
from application.events.requests import AppendEvent
from application.items import Items
from application.items.requests import EnrichItem
from domain.access.decide import Action, decide
from domain.access.facts import Facts, Target
from domain.access.permissions import Permission
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import CircuitStatus, EventVisibility, PublicAccessMode
from domain.canonical import canonical
from domain.circuits.facts import circuit_fact, item_fact, placement_fact
from domain.document import Document
from domain.errors import Refusal
from domain.events.values import EventType
from domain.ids import new_id
from domain.items.submission import IdentifierInput
from domain.ports.schema import AUDIT, CIRCUITS, ITEMS, PLACEMENTS
from tests.application.circuits.world import SteppedClock, World, lot, sisbov

CPF = IdentifierInput("cpf", "111.444.777-35")
CNPJ = IdentifierInput("cnpj", "12.ABC.345/01DE-35")
PASSWORD = "seven brown oxen graze"
PROTECTED = PublicRequest(access_mode=PublicAccessMode.PROTECTED, access_password=PASSWORD, public_name="Rastro")
VISITOR = attrs.evolve(ANONYMOUS, address="203.0.113.7")


async def shown(world: World, **settings: Any) -> tuple[Principal, str, str]:
    """Return an owner, the circuit, and an item of theirs on its page."""
    ana = await world.user("ana")
    made = await world.circuit(ana, **{"allow_public_visibility": True} | settings)
    dfid = await world.item(ana, sisbov(1), CPF, CNPJ, lot("7"), peso=410, raça="nelore", preço=9)
    await world.circuits.push(ana, made.circuit_id, dfid)
    await world.circuits.publish(ana, made.circuit_id, dfid, shown=True)
    return ana, made.circuit_id, dfid


def instance(world: World) -> World:
    """Return another instance over the same store and the same limits, with a clock of its own."""
    clock = SteppedClock()
    clock.instant = world.clock.instant
    units = attrs.evolve(world.circuits.units, clock=clock)
    circuits = Circuits(units, world.circuits.keys, world.circuits.passwords, world.circuits.limiter)
    return World(world.storage, clock, circuits, Items(units, world.circuits.keys))


async def refused(code: str, call: Any) -> None:
    with pytest.raises(Refusal) as error:
        await call
    assert error.value.code == code


def everything(*answers: Any) -> str:
    """Return what answers hold as one text."""
    return canonical([attrs.asdict(answer, value_serializer=_plain) for answer in answers]).decode()


def _plain(_: Any, __: Any, value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


async def test_scenario_34_a_visitor_sees_public_events_and_what_the_owner_wrote_and_nobody_s_name(
    world: World,
) -> None:
    ana, circuit_id, dfid = await shown(world, public_settings=PublicRequest(public_data_keys=("peso", "vacina")))
    bia = await world.user("bia")
    await world.join(ana, circuit_id, bia)
    added = Document(vacina="aftosa", peso=1)
    await world.items.enrich(bia, dfid, EnrichItem((lot("de bia", "brinco"),), added, circuit_id=circuit_id))
    public = AppendEvent(dfid, "weighing", visibility=EventVisibility.PUBLIC, payload=Document(kg=410))
    weighed, _ = await world.events.append(ana, public)
    for hidden in (EventVisibility.PRIVATE, EventVisibility.CIRCUIT_ONLY):
        where = circuit_id if hidden is EventVisibility.CIRCUIT_ONLY else None
        await world.events.append(ana, AppendEvent(dfid, "price", visibility=hidden, circuit_id=where))
    await world.events.append(ana, attrs.evolve(public, corrects=weighed.event_id, payload=Document(kg=411)))
    await world.events.append(ana, AppendEvent(dfid, "note", corrects=weighed.event_id))
    certified = attrs.evolve(public, category="organic", event_type=EventType.CERTIFIED, circuit_id=circuit_id)
    await world.events.append(ana, certified)

    page = (await world.pages.page(VISITOR, circuit_id)).shown
    assert (page.member_count, page.published_count, page.public_name) == (2, 1, "Novilho Precoce")
    listed = await world.pages.items(VISITOR, circuit_id)
    item = (await world.pages.item(VISITOR, circuit_id, dfid)).shown
    assert listed.items == (item,)
    assert item.data == {"peso": 410}
    named = {one.key: (one.value, one.display, one.masked) for one in item.identifiers}
    assert named == {
        "sisbov": ("076000000000001", named["sisbov"][1], False),
        "cnpj": (None, "**.***.***/01DE-**", True),
        "lote": ("7", "7", False),
    }
    events = (await world.pages.events(VISITOR, circuit_id, dfid)).items
    kinds = [(event.event_type, event.category, event.workspace_name) for event in events]
    assert kinds == [
        ("created", None, None),
        ("recorded", "weighing", None),
        ("recorded", "weighing", None),
        ("certified", "organic", "farm of ana"),
    ]
    assert item.event_count == len(events)
    assert events[1].corrected_by == (events[2].event_id,)
    told = everything(page, *listed.items, item, *events)
    for secret in (str(ana.user_id), str(bia.user_id), str(bia.workspace_id), "cpf", "11144477735", "aftosa"):
        assert secret not in told
    assert str(ana.workspace_id) not in told


async def test_the_events_of_a_page_continue_without_telling_positions(world: World) -> None:
    ana, circuit_id, dfid = await shown(world)
    for number in range(5):
        for visibility in (EventVisibility.PRIVATE, EventVisibility.PUBLIC):
            payload = Document(number=number)
            await world.events.append(ana, AppendEvent(dfid, "n", visibility=visibility, payload=payload))
    found, after = [], None
    while True:
        page = await world.pages.events(VISITOR, circuit_id, dfid, None, after, 2)
        found += page.items
        after = page.after
        if after is None:
            break
        assert after == (page.items[-1].recorded_at,)
    assert [event.payload and event.payload.get("number") for event in found] == [None, 0, 1, 2, 3, 4]


async def test_scenario_35_a_protected_page_tells_nothing_without_its_password(world: World) -> None:
    ana, circuit_id, dfid = await shown(world, public_settings=PROTECTED)
    pages, none = world.pages, (VISITOR, circuit_id)
    for token in (None, "", "no token", "a.b.c"):
        await refused("page_password_required", pages.page(*none, token))
        await refused("page_password_required", pages.items(*none, token))
        await refused("page_password_required", pages.item(*none, dfid, token))
        await refused("page_password_required", pages.item(*none, "DFID-20250108-999999-94E", token))
        await refused("page_password_required", pages.events(*none, dfid, token))
    assert (await pages.directory()).items == ()
    await refused("page_password_wrong", pages.token(*none, "brown oxen"))
    token = await pages.token(*none, PASSWORD)
    for principal in (VISITOR, await world.user("caio")):
        assert (await pages.page(principal, circuit_id, token.page_token)).shown.public_name == "Rastro"
        assert (await pages.items(principal, circuit_id, token.page_token)).protected
        assert (await pages.item(principal, circuit_id, dfid, token.page_token)).shown.dfid == dfid
        assert (await pages.events(principal, circuit_id, dfid, token.page_token)).items
    assert (await pages.page(ana, circuit_id)).protected
    other = await world.circuit(ana, allow_public_visibility=True, public_settings=PROTECTED)
    await refused("page_password_required", pages.page(VISITOR, other.circuit_id, token.page_token))
    current = await world.circuits.get(ana, circuit_id)
    change = PublicRequest(access_password="eight brown oxen graze")
    await world.circuits.change_public_settings(ana, circuit_id, change, frozenset({current.version}))
    await refused("page_password_required", pages.page(*none, token.page_token))
    again = await pages.token(*none, "eight brown oxen graze")
    world.clock.pass_by(timedelta(hours=1))
    await refused("page_password_required", pages.page(*none, again.page_token))


async def test_scenario_36_after_ten_wrong_passwords_an_address_waits_and_the_audit_knows_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, circuit_id, _ = await shown(world, public_settings=PROTECTED)
    pages, hashed = world.pages, list[float]()
    kept = await pages.token(VISITOR, circuit_id, PASSWORD)
    monkeypatch.setattr(world.circuits.passwords, "observe", hashed.append)
    await world.trail()
    for _ in range(10):
        await refused("page_password_wrong", pages.token(VISITOR, circuit_id, "wrong"))
    assert (await world.trail()).silent
    assert len(hashed) == 10
    for password in ("wrong", PASSWORD, PASSWORD):
        with pytest.raises(Refusal, match="rate_limited") as error:
            await pages.token(VISITOR, circuit_id, password)
        assert 0 < error.value.members["retry_after_seconds"] <= 900
    join = JoinPage(access_password=PASSWORD)
    bia = attrs.evolve(await world.user("bia"), address=VISITOR.address)
    await refused("rate_limited", world.circuits.ask_to_join(bia, circuit_id, join))
    await refused("rate_limited", instance(world).pages.token(VISITOR, circuit_id, PASSWORD))
    assert len(hashed) == 10, "a refused password was hashed"
    assert (await world.trail()).audit == ["page.password_limited"]
    (entry,) = await world.rows(AUDIT, action="page.password_limited")
    assert (entry.circuit_id, entry.outcome, entry.details["policy"]) == (circuit_id, "denied", "page_password")
    assert (await pages.page(VISITOR, circuit_id, kept.page_token)).shown.circuit_id == circuit_id
    neighbour = attrs.evolve(ANONYMOUS, address="203.0.113.8")
    assert await pages.token(neighbour, circuit_id, PASSWORD)
    for last in range(20):
        elsewhere = attrs.evolve(ANONYMOUS, address=f"198.51.100.{last}")
        await refused("page_password_wrong", pages.token(elsewhere, circuit_id, "wrong"))
    elsewhere, before = attrs.evolve(ANONYMOUS, address="198.51.100.99"), len(hashed)
    await refused("rate_limited", pages.token(elsewhere, circuit_id, PASSWORD))
    assert len(hashed) == before
    assert (await pages.page(elsewhere, circuit_id, kept.page_token)).shown.circuit_id == circuit_id


async def test_scenario_37_a_scheduled_page_opens_at_its_date(world: World) -> None:
    """No instance needs to be told: each goes by its clock."""
    ana = await world.user("ana")
    date = world.clock.now() + timedelta(hours=1)
    scheduled = PublicRequest(access_mode=PublicAccessMode.SCHEDULED, scheduled_date=date)
    made = await world.circuit(ana, allow_public_visibility=True, public_settings=scheduled)
    bia, instances = await world.user("bia"), [world, instance(world), instance(world)]
    looks: list[Callable[[World], Awaitable[Any]]] = [
        lambda each: each.pages.page(VISITOR, made.circuit_id),
        lambda each: each.pages.page(bia, made.circuit_id),
        lambda each: each.pages.items(VISITOR, made.circuit_id),
        lambda each: each.pages.token(VISITOR, made.circuit_id, PASSWORD),
    ]

    async def listed(each: World) -> list[str]:
        return [page.circuit_id for page in (await each.pages.directory()).items]

    for each in instances:
        for look in looks:
            each.clock.instant = date - timedelta(seconds=1, microseconds=1)
            await refused("not_found", look(each))
        each.clock.instant = date - timedelta(seconds=1, microseconds=1)
        assert await listed(each) == []
    for each in instances:
        for look in looks[:3]:
            each.clock.instant = date - timedelta(seconds=1)
            await look(each)
        await refused("page_not_protected", looks[3](each))
        assert await listed(each) == [made.circuit_id]


async def test_scenario_38_with_the_switch_off_nothing_opens_the_page(world: World) -> None:
    ana, circuit_id, dfid = await shown(world, allow_public_visibility=False, public_settings=PROTECTED)
    pages = world.pages
    for principal in (VISITOR, await world.user("bia")):
        await refused("not_found", pages.page(principal, circuit_id))
        await refused("not_found", pages.item(principal, circuit_id, dfid))
        await refused("not_found", pages.token(principal, circuit_id, PASSWORD))
    assert (await pages.directory()).items == ()
    version = (await world.circuits.get(ana, circuit_id)).version
    on = UpdateCircuit(allow_public_visibility=True)
    await world.circuits.update(ana, circuit_id, on, frozenset({version}))
    token = await pages.token(VISITOR, circuit_id, PASSWORD)
    assert (await pages.items(VISITOR, circuit_id, token.page_token)).items[0].dfid == dfid
    await world.circuits.change_status(ana, circuit_id, CircuitStatus.INACTIVE)
    await refused("not_found", pages.page(VISITOR, circuit_id, token.page_token))


async def test_scenario_47_no_guess_opens_a_page_or_tells_private_from_absent(world: World) -> None:
    ana, protected, _ = await shown(world, public_settings=PROTECTED)
    private = (await world.circuit(ana)).circuit_id
    token = (await world.pages.token(VISITOR, protected, PASSWORD)).page_token
    head, body, tail = token.split(".")
    guesses = [f"{head}.{body}.{tail[:-4]}AAAA", f"{head}.{body}.", token[:-1], "x" * 5000, "ção"]
    for guess in guesses:
        await refused("page_password_required", world.pages.page(VISITOR, protected, guess))
    later = PublicRequest(access_mode=PublicAccessMode.SCHEDULED, scheduled_date=world.clock.now() + timedelta(days=1))
    scheduled = (await world.circuit(ana, allow_public_visibility=True, public_settings=later)).circuit_id
    pages, answers = world.pages, Counter[str]()

    async def guessed(circuit_id: str, token: str) -> None:
        with pytest.raises(Refusal) as error:
            await pages.page(VISITOR, circuit_id, token)
        answers[f"{error.value.code} {error.value.detail} {error.value.members}"] += 1

    async def all_of(guesses: Iterable[Awaitable[None]]) -> Counter[str]:
        answers.clear()
        await asyncio.gather(*guesses)
        return answers

    hidden = (private, scheduled, *(new_id() for _ in range(4_998)))
    (code,) = await all_of(guessed(circuit_id, token) for circuit_id in hidden)
    assert code.startswith("not_found")
    (code,) = await all_of(guessed(protected, f"{head}.{body}.{token_urlsafe(32)}") for _ in range(5_000))
    assert code.startswith("page_password_required")
    assert answers.total() == 5_000


async def test_the_directory_lists_open_pages_newest_first_and_finds_them_by_their_words(world: World) -> None:
    ana = await world.user("ana")
    made = {}
    for name, tagline in (("Açaí do Norte", "frutas"), ("Novilho", "carne do norte"), ("Leite", "")):
        settings = PublicRequest(tagline=tagline)
        circuit = await world.circuit(ana, name=name, allow_public_visibility=True, public_settings=settings)
        made[circuit.circuit_id] = name
    await world.circuit(ana, name="Norte fechado")
    pages = world.pages

    async def found(q: str | None) -> list[str]:
        return [made[page.circuit_id] for page in (await pages.directory(q)).items]

    assert await found(None) == ["Leite", "Novilho", "Açaí do Norte"]
    assert await found("nor") == ["Novilho", "Açaí do Norte"]
    assert await found("acai norte") == ["Açaí do Norte"]
    assert await found("sul") == []
    first = await pages.directory(limit=1)
    rest = await pages.directory(after=first.after, limit=5)
    assert [made[page.circuit_id] for page in (*first.items, *rest.items)] == await found(None)


async def test_what_a_page_lists_is_what_the_decision_allows(world: World) -> None:
    ana, circuit_id, first = await shown(world)
    dfids = [first, *[await world.item(ana, sisbov(number)) for number in range(2, 7)]]
    for dfid in dfids[1:]:
        await world.circuits.push(ana, circuit_id, dfid)
    await world.circuits.publish_many(ana, circuit_id, Publications(tuple(dfids[1:5]), True))
    await world.circuits.publish(ana, circuit_id, dfids[2], shown=False)
    await world.items.deprecate(ana, dfids[3])
    facts = Facts(
        circuits=tuple(map(circuit_fact, await world.rows(CIRCUITS))),
        items=tuple(map(item_fact, await world.rows(ITEMS))),
        placements=tuple(map(placement_fact, await world.rows(PLACEMENTS))),
    )

    def allowed(dfid: str) -> bool:
        asked = attrs.evolve(facts, target=Target(circuit_id=circuit_id, dfid=dfid))
        return decide(VISITOR, Action.ITEM_VIEW_PUBLIC, asked, world.clock.now()).allowed

    listed = [item.dfid for item in (await world.pages.items(VISITOR, circuit_id)).items]
    assert sorted(listed) == sorted(filter(allowed, dfids))
    assert (await world.pages.page(VISITOR, circuit_id)).shown.published_count == len(listed)
    for dfid in set(dfids) - set(listed):
        await refused("not_found", world.pages.item(VISITOR, circuit_id, dfid))
        await refused("not_found", world.pages.events(VISITOR, circuit_id, dfid))


async def test_roles_and_numbers_are_counted(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    role = CreateRole("inspetor", frozenset({Permission.PULL}))
    await world.circuits.create_role(ana, circuit_id, role)
    for name, given in (("bia", "member"), ("caio", "inspetor"), ("dora", "inspetor")):
        await world.join(ana, circuit_id, await world.user(name), role=given)
    counted = {view.name: view.member_count for view in (await world.circuits.roles(ana, circuit_id)).items}
    assert counted == {"owner": 1, "admin": 0, "member": 1, "viewer": 0, "inspetor": 2}
    stats = await world.circuits.stats(ana, circuit_id)
    assert (stats.members, stats.items, stats.published_items) == (4, 0, 0)
