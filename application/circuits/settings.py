"""Use cases of circuits themselves: created, read, changed, closed, handed on (circuits.md 4.1 to 4.4, 4.15)."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import attrs

from application.circuits.page_door import PageDoor
from application.circuits.requests import (
    CreateCircuit,
    PublicRequest,
    TransferCircuit,
    UpdateCircuit,
    check_namespaces,
    namespace_of,
)
from application.circuits.tallies import Tallies
from application.circuits.views import (
    CircuitView,
    PublicSettingsAnswer,
    circuit_view,
    settings_view,
)
from application.passwords import Passwords
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.facts import Facts
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus
from domain.act import Act
from domain.circuits import engine
from domain.circuits.rules import owner_of
from domain.circuits.scene import Visit, scene
from domain.circuits.values import Circuit
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.ports.limits import RateLimiter
from domain.ports.schema import MEMBERSHIPS
from domain.precondition import Versions


@attrs.define
class CircuitSettings:
    """What is done with a circuit as a whole."""

    units: Units
    keys: IdentifierKeys
    passwords: Passwords
    limiter: RateLimiter
    join_cooldown: timedelta = timedelta(hours=24)
    door: PageDoor = attrs.field(init=False)
    tallies: Tallies = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.door = PageDoor(self.units, self.passwords, self.limiter)
        self.tallies = Tallies(self.units.clock)

    async def create(self, principal: Principal, request: CreateCircuit) -> CircuitView:
        """Create a circuit, of which the caller becomes the owner (4.1).

        Raises Invalid; Refusal `quota_reached`, `password_required`, `scheduled_date_required`, `overloaded`.
        """
        namespace, config = namespace_of(request.default_namespace), request.config()
        check_namespaces(config, namespace)
        page = request.settings(await self._hashed(request.public_settings))

        async def work(act: Act) -> CircuitView:
            require(decide(principal, Action.CIRCUIT_CREATE, Facts(), act.now))
            circuit = Circuit(
                circuit_id=new_id(),
                name=request.name,
                owner_id=act.user_id,
                created_at=act.now,
                updated_at=act.now,
                description=request.description,
                default_namespace=namespace,
                alias_config=config,
                require_approval_for_push=request.require_approval_for_push,
                require_approval_for_pull=request.require_approval_for_pull,
                allow_resharing=request.allow_resharing,
                allow_public_visibility=request.allow_public_visibility,
                public_settings=page,
                public_since=act.now if request.allow_public_visibility else None,
            )
            await engine.create(act, circuit)
            return circuit_view(circuit, owner_of(circuit), act.now)

        return await self.units.perform(principal, work)

    async def _hashed(self, request: PublicRequest) -> str | None:
        """Hash a new page password, before any unit opens. Raises Refusal `overloaded`."""
        password = request.access_password
        return await self.passwords.hash(password) if isinstance(password, str) else None

    async def get(self, principal: Principal, circuit_id: str) -> CircuitView:
        """Return a circuit to a member. Raises Refusal `not_found`, `not_a_member`."""
        async with self.units.storage.read() as reader:
            visit = self.visit(principal)
            at = await scene(reader, principal, circuit_id)
            circuit = at.require(visit, Action.CIRCUIT_VIEW)
            return circuit_view(circuit, at.memberships[str(principal.user_id)], visit.now)

    def visit(self, principal: Principal) -> Visit:
        """Return who reads, at the instant of now."""
        return Visit(principal, self.units.clock.now())

    async def update(
        self, principal: Principal, circuit_id: str, request: UpdateCircuit, accepted: Versions
    ) -> CircuitView:
        """Change settings; what is left out stays (4.2). Raises Invalid; Refusal of the decision."""
        changes = request.changes()

        async def change(act: Act) -> Circuit:
            circuit = await engine.update(act, circuit_id, changes, accepted)
            check_namespaces(circuit.alias_config, circuit.default_namespace)
            return circuit

        return await self._changed(principal, change)

    async def _changed(self, principal: Principal, change: Callable[[Act], Awaitable[Circuit]]) -> CircuitView:
        async def work(act: Act) -> CircuitView:
            circuit = await change(act)
            member = await act.unit.get(MEMBERSHIPS, (circuit.circuit_id, act.user_id))
            return circuit_view(circuit, member, act.now)

        return await self.units.perform(principal, work)

    async def change_status(
        self,
        principal: Principal,
        circuit_id: str,
        status: CircuitStatus,
        reason: str | None = None,
        accepted: Versions = None,
    ) -> CircuitView:
        """Activate, deactivate or archive a circuit (4.3). Raises Refusal `circuit_not_active` for a missing step."""
        return await self._changed(
            principal, lambda act: engine.change_status(act, circuit_id, status, accepted, reason)
        )

    async def transfer(
        self, principal: Principal, circuit_id: str, request: TransferCircuit, accepted: Versions = None
    ) -> CircuitView:
        """Hand the circuit on (4.4). Raises Refusal `owner_required`, `member_unknown`."""
        return await self._changed(principal, lambda act: engine.transfer(act, circuit_id, request.member_id, accepted))

    async def public_settings(self, principal: Principal, circuit_id: str) -> PublicSettingsAnswer:
        """Return the settings of the page to a holder of `manage_settings`."""
        async with self.units.storage.read() as reader:
            visit = self.visit(principal)
            at = await scene(reader, principal, circuit_id)
            circuit = at.require(visit, Action.CIRCUIT_VIEW_SETTINGS)
            return PublicSettingsAnswer(settings_view(circuit, visit.now), circuit.version)

    async def change_public_settings(
        self, principal: Principal, circuit_id: str, request: PublicRequest, accepted: Versions
    ) -> PublicSettingsAnswer:
        """Change the page; what is left out stays, the password too (4.15). Saving never opens it.

        Raises Refusal `scheduled_date_required`, `password_required`, `overloaded`; S4 decides on auto-approval.
        """
        changes = request.changes(await self._hashed(request))

        async def work(act: Act) -> PublicSettingsAnswer:
            circuit = await engine.change_page(act, circuit_id, changes, accepted)
            return PublicSettingsAnswer(settings_view(circuit, act.now), circuit.version)

        return await self.units.perform(principal, work)
