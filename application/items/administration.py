"""What administrators do to identifiers and see of disputes about them (items-events.md 6.14, 8.2).

Whether the principal is an administrator was checked before. None of it shows an item.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import attrs

from application.items.reading import ItemReading
from application.items.service import owners_side
from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.identifiers import Privacy, canonical_key, type_of
from domain.identifiers.personal import IdentifierKeys
from domain.items.administering import blank, carried, confirm, forget_count, mentions, release
from domain.items.register import Register
from domain.items.resolution import claims_of
from domain.items.resolving import opened_submission
from domain.items.submission import Read, read_submission
from domain.items.values import Claim, Identifier, Item, PendingReason, PendingStatus, PendingSubmission
from domain.ports.queries import Cursor, Page, Select, chosen
from domain.ports.schema import CLAIMS, PENDING, Key
from domain.shape import Line, Raw, Text

NOT_THERE = "The item carries no such identifier."


@attrs.frozen
class NamedIdentifier:
    """A canonical identifier; contextual ones reserve nothing."""

    key: Annotated[str, Raw(1, 64)]
    value: Annotated[str, Raw(1, 256)]


@attrs.frozen(kw_only=True)
class ConfirmIdentifier(NamedIdentifier):
    """An authority confirmed the number: which one, and when."""

    source: Annotated[str, Line(1, 200)]
    confirmed_at: datetime


@attrs.frozen(kw_only=True)
class TakeIdentifier(NamedIdentifier):
    """A number that the item must not hold, and why."""

    reason: Annotated[str, Text(1, 500)]


@attrs.frozen
class DisputeFilter:
    """Which disputes to list."""

    status: frozenset[PendingStatus] = frozenset({PendingStatus.OPEN})


@attrs.frozen
class DisputedIdentifier:
    """An identifier of a submission and the item that holds it."""

    namespace: str | None
    key: str
    display: str | None
    dfid: str
    workspace_id: str


@attrs.frozen
class Dispute:
    """A submission that met a claim of somebody else. `own_dfids` are items of the claimant that it names as well."""

    pending_id: str
    workspace_id: str
    submitted_by: str
    origin: str
    status: PendingStatus
    created_at: datetime
    identifiers: tuple[DisputedIdentifier, ...]
    own_dfids: tuple[str, ...]


@attrs.define
class ItemAdministration(ItemReading):
    """Acts on identifiers of any item."""

    units: Units
    keys: IdentifierKeys

    async def confirm(self, principal: Principal, dfid: str, request: ConfirmIdentifier) -> None:
        """Raise an identifier to `registry_ok`. Raises Refusal `not_found`, `identifier_absent`."""
        _check_type(request.key)
        if request.confirmed_at > self._now():
            raise Invalid([Fault("out_of_range", "An instant that has passed.", pointer="/confirmed_at")])

        async def work(act: Act) -> None:
            register, item, identifier = await self._found(act, dfid, request)
            if identifier is None:
                raise Refusal("identifier_absent", NOT_THERE)
            if confirm(register, item, identifier, request.source, request.confirmed_at):
                await register.flush()
                await self._tell(act, "item.identifier_confirmed", item, request.key)

        await self.units.perform(principal, work)

    async def release(self, principal: Principal, dfid: str, request: TakeIdentifier) -> None:
        """Take an identifier and its claim from an item. Raises Refusal `not_found`, `identifier_absent`."""
        _check_type(request.key)

        async def work(act: Act) -> None:
            register, item, identifier = await self._found(act, dfid, request)
            if identifier is None:
                raise Refusal("identifier_absent", NOT_THERE)
            release(register, item, identifier, request.reason)
            await register.flush()
            await self._tell(act, "item.identifier_released", item, request.key, identifier)

        await self.units.perform(principal, work)

    async def erase(self, principal: Principal, dfid: str, request: TakeIdentifier) -> None:
        """Release a personal identifier and blank it in everything that was contributed to the item.

        Raises Refusal `not_found`, `identifier_absent`, Invalid for a type that names no person.
        """
        _check_type(request.key, personal=True)

        async def work(act: Act) -> None:
            key, lookup = canonical_key(request.key), self.lookup(canonical_key(request.key), request.value)
            named = await mentions(act.unit, dfid, key, lookup) if lookup is not None else []
            register, item, identifier = await self._found(act, dfid, request)
            if identifier is None and not named:
                raise Refusal("identifier_absent", NOT_THERE)
            await blank(act.unit, named, key, lookup or "")
            if identifier is not None:
                register, item, _ = await self._found(act, dfid, request)
                release(register, item, identifier, request.reason, erased=True)
                await register.flush()
            await forget_count(act.unit, item.workspace_id, key, lookup or "")
            await self._tell(act, "item.identifier_erased", item, request.key, identifier)

        await self.units.perform(principal, work)

    async def _found(self, act: Act, dfid: str, named: NamedIdentifier) -> tuple[Register, Item, Identifier | None]:
        """Return an item with its family and the identifier named, None when it does not carry it."""
        register = Register(act, self.keys)
        await register.load_items([dfid])
        item = register.item(dfid)
        if item is None or item.dfid is None:
            raise not_found()
        key = canonical_key(named.key)
        identifier = carried(register, item, key, self.lookup(key, named.value))
        if identifier is not None:
            await register.load_claims([identifier], item.workspace_id)
        return register, item, identifier

    async def _tell(self, act: Act, action: str, item: Item, key: str, taken: Identifier | None = None) -> None:
        details = {"key": canonical_key(key)}
        await act.audit(action, ("item", item.key), workspace_id=item.workspace_id, details=details)
        if taken is not None:
            personal = action == "item.identifier_erased"
            await act.notify(
                "identifier_released",
                await owners_side(act, item),
                source_id=f"{item.key}:{item.version}",
                dfid=item.key,
                data={"namespace": taken.namespace, "key": taken.key, "display": None if personal else taken.display},
                anonymous=True,
            )

    async def disputes(self, wanted: DisputeFilter, after: Cursor | None = None, limit: int = 50) -> Page[Dispute]:
        """Return the claim conflicts of all workspaces, the oldest first, with no content of any item."""
        where = {"reason": PendingReason.CLAIM_CONFLICT.value, **chosen(status=wanted.status)}
        async with self.units.storage.read() as reader:
            page = await reader.page(PENDING, Select(where, ("created_at", "pending_id")), after, limit)
            asked = [(record, self._claiming(record)) for record in page.items]
            wished = {(space, read.key, read.lookup or "") for _, reads in asked for read, space in reads}
            claims = {CLAIMS.key_of(claim): claim for claim in (await reader.get_many(CLAIMS, sorted(wished))).values()}
        return Page(tuple(_dispute(record, reads, claims) for record, reads in asked), page.after)

    def _claiming(self, record: PendingSubmission) -> list[tuple[Read, str]]:
        content = read_submission(opened_submission(record, self.keys), self.keys)
        return claims_of(content, record.workspace_id, creating=True)


def _dispute(record: PendingSubmission, reads: Sequence[tuple[Read, str]], claims: Mapping[Key, Claim]) -> Dispute:
    met = [(read, claims.get((space, read.key, read.lookup or ""))) for read, space in reads]
    return Dispute(
        pending_id=record.pending_id,
        workspace_id=record.workspace_id,
        submitted_by=record.submitted_by,
        origin=record.origin,
        status=record.status,
        created_at=record.created_at,
        identifiers=tuple(
            DisputedIdentifier(read.namespace, read.key, read.check.display, claim.item, claim.workspace_id)
            for read, claim in met
            if claim is not None and claim.workspace_id != record.workspace_id
        ),
        own_dfids=tuple(
            sorted({claim.item for _, claim in met if claim is not None and claim.workspace_id == record.workspace_id})
        ),
    )


def _check_type(key: str, *, personal: bool = False) -> None:
    kind = type_of(canonical_key(key))
    if kind is None:
        raise Invalid([Fault("identifier_type_unknown", "Only registered types reserve anything.", pointer="/key")])
    if personal and kind.privacy is not Privacy.PERSONAL:
        raise Invalid([Fault("not_allowed", "Only numbers of persons are erased; release this one.", pointer="/key")])
