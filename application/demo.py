"""Something to look at: workspaces, people, circuits, animals with a history (platform.md 13.3)."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta

import attrs

from application.accounts.values import InvitationRequest, Registration
from application.circuits.requests import AddMember, CreateCircuit, Publications, PublicRequest, PushBatch, PushElement
from application.engine import Engine
from application.events.requests import AppendEvent, AppendEvents
from application.items.requests import CreateBatch
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import EventVisibility
from domain.document import Document
from domain.items.submission import IdentifierInput, Submission

AT_ONCE = 500
SHARED, SHOWN = 10, 5
"""How many animals stand in the circuits, and how many of them on a public page."""

_BREEDS = ("Nelore", "Angus", "Brahman", "Senepol")
_HOMES = {"ana": "Fazenda Boa Vista", "clara": "Frigorífico Pantanal", "davi": "Certificadora Rastro"}


@attrs.frozen
class Demo:
    """What was made; `passwords` by user name are told once, to whoever started the demo."""

    passwords: Mapping[str, str] = attrs.field(repr=False)
    homes: Mapping[str, str]
    approved_circuit: str
    public_circuit: str
    dfids: Sequence[str]


async def populate(engine: Engine, items: int) -> Demo:
    """Fill an empty store: 3 workspaces, 4 users, a circuit with approval, a public one, and `items` animals."""
    people, passwords = await _people(engine)
    ana, clara = people["ana"], people["clara"]
    dfids = await _animals(engine, ana, items)
    approved = await engine.circuits.create(ana, CreateCircuit(name="Novilho Precoce", require_approval_for_push=True))
    public = await engine.circuits.create(
        ana,
        CreateCircuit(
            name="Carne de Origem",
            allow_public_visibility=True,
            public_settings=PublicRequest(public_name="Carne de Origem", tagline="Do campo ao prato"),
        ),
    )
    for circuit in (approved, public):
        for name, role in (("clara", "member"), ("davi", "viewer")):
            await engine.circuits.add_member(ana, circuit.circuit_id, AddMember(role, username=name))
    await _share(engine, ana, approved.circuit_id, dfids[:SHARED])
    await _share(engine, ana, public.circuit_id, dfids[:SHARED])
    if dfids:
        shown = Publications(tuple(dfids[:SHOWN]), published=True)
        await engine.circuits.publish_many(ana, public.circuit_id, shown)
    carcass = await _animals(engine, clara, min(items, 1), first=items + 1)
    await _share(engine, clara, approved.circuit_id, carcass)
    homes = {**_HOMES, "bruno": _HOMES["ana"]}
    return Demo(passwords, homes, approved.circuit_id, public.circuit_id, tuple(dfids))


async def _people(engine: Engine) -> tuple[dict[str, Principal], dict[str, str]]:
    passwords = {name: secrets.token_urlsafe(12) for name in (*_HOMES, "bruno")}
    people = {}
    for name, home in _HOMES.items():
        await _register(engine, name, passwords[name], workspace_name=home)
        people[name] = await engine.principal(name)
    issued = await engine.accounts.invitations.create(people["ana"], InvitationRequest())
    await _register(engine, "bruno", passwords["bruno"], invitation_token=issued.secret)
    return people, passwords


async def _register(engine: Engine, name: str, password: str, **more: str) -> None:
    request = Registration(name, f"{name}@example.org", password, name.capitalize(), locale="pt_br", **more)
    await engine.accounts.registrations.register(ANONYMOUS, request)


async def _animals(engine: Engine, owner: Principal, count: int, first: int = 1) -> list[str]:
    """Register animals by their ear tags, and give each a history."""
    dfids: list[str] = []
    for start in range(first, first + count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, first + count))
        made = await engine.items.create_batch(owner, CreateBatch(tuple(map(_animal, numbers)), atomic=True))
        fresh = [str(result.dfid) for result in made.results]
        dfids += fresh
        await _history(engine, owner, fresh)
    return dfids


def _animal(number: int) -> Submission:
    tag = IdentifierInput("sisbov", f"0760000000{number:05d}")
    data = {"raca": _BREEDS[number % len(_BREEDS)], "sexo": "FM"[number % 2], "peso_kg": 380 + number % 90}
    return Submission((tag,), Document(data))


async def _history(engine: Engine, owner: Principal, dfids: Sequence[str]) -> None:
    now = engine.units.clock.now()
    events = [
        AppendEvent(
            dfid,
            category,
            visibility=EventVisibility.PUBLIC,
            occurred_at=now - timedelta(days=days),
            payload=Document(payload),
        )
        for dfid in dfids
        for category, days, payload in (
            ("vaccination", 90, {"vaccine": "febre aftosa", "dose_ml": 2}),
            ("weighing", 7, {"kg": 402}),
        )
    ]
    for start in range(0, len(events), 1000):
        await engine.events.append_many(owner, AppendEvents(tuple(events[start : start + 1000])))


async def _share(engine: Engine, who: Principal, circuit_id: str, dfids: Sequence[str]) -> None:
    if dfids:
        pushes = tuple(PushElement(dfid=dfid) for dfid in dfids)
        await engine.circuits.push_batch(who, circuit_id, PushBatch(pushes))
