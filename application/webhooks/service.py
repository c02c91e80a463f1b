"""Use cases of webhooks (circuits.md 4.19)."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import attrs

from application.circuits.requests import given
from application.sealing import SealForeign
from application.units import Units
from application.webhooks.feeding import MOST_WEBHOOKS, by_age, cancel_waiting, listen, webhooks_of
from application.webhooks.requests import (
    CreateWebhook,
    DeliveryFilter,
    RotateSecret,
    SwitchPostActions,
    UpdateWebhook,
    check_headers,
)
from application.webhooks.vault import Kept, Vault, new_secret
from application.webhooks.views import (
    DeliveryView,
    PostActionsView,
    WebhookView,
    WebhookWithSecret,
    delivery_view,
    webhook_view,
)
from domain.access.decide import Action
from domain.access.principal import Principal
from domain.act import Act
from domain.circuits.rules import changed
from domain.circuits.scene import Scene, Visit, known, scene, settle
from domain.errors import Refusal, not_found
from domain.ids import new_id
from domain.ports.queries import Condition, Cursor, Page, Select, chosen
from domain.ports.schema import CIRCUITS, DELIVERIES, MEMBERSHIPS, WEBHOOKS
from domain.ports.storage import Reader
from domain.precondition import Versions
from domain.shape import Unset
from domain.webhooks.addresses import Network, check_url
from domain.webhooks.rules import evolved, payload_of, replayed
from domain.webhooks.values import TEST, Delivery, Webhook


@attrs.frozen
class Webhooks:
    """Everything that can be done with webhooks. `allowed` are networks inside which may be called."""

    units: Units
    vault: Vault
    allowed: Sequence[Network] = ()

    async def post_actions(self, principal: Principal, circuit_id: str) -> PostActionsView:
        """Return whether triggers are told, and the webhooks. Raises the Refusal of `webhook.view`."""
        async with self.units.storage.read() as reader:
            circuit = await self._visible(reader, principal, circuit_id)
            return await _post_actions(reader, circuit)

    async def switch(
        self, principal: Principal, circuit_id: str, request: SwitchPostActions, accepted: Versions
    ) -> PostActionsView:
        """Turn telling on or off for the whole circuit. What waits already is delivered."""

        async def work(act: Act) -> PostActionsView:
            at = await scene(act.unit, act.principal, circuit_id)
            settle(at.decide(act, Action.WEBHOOK_CHANGE), accepted, 0 if at.found is None else at.found.version)
            before = at.circuit
            if before.post_actions_enabled == request.enabled:
                return await _post_actions(act.unit, at)
            after = changed(before, act.now, post_actions_enabled=request.enabled)
            await act.unit.save(CIRCUITS, after)
            await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
            details = {"post_actions_enabled": {"old": before.post_actions_enabled, "new": request.enabled}}
            await act.audit("circuit.updated", ("circuit", circuit_id), circuit_id=circuit_id, details=details)
            return await _post_actions(act.unit, Scene(after, at.memberships))

        return await self.units.perform(principal, work)

    async def webhooks(
        self, principal: Principal, circuit_id: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[WebhookView]:
        """Return the webhooks of a circuit in the order they were made."""
        async with self.units.storage.read() as reader:
            await self._visible(reader, principal, circuit_id)
            page = await reader.page(WEBHOOKS, by_age(circuit_id), after, limit)
            return Page(tuple(map(webhook_view, page.items)), page.after)

    async def webhook(self, principal: Principal, circuit_id: str, webhook_id: str) -> WebhookView:
        """Return one webhook. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            await self._visible(reader, principal, circuit_id)
            return webhook_view(await _webhook(reader, circuit_id, webhook_id))

    async def create(self, principal: Principal, circuit_id: str, request: CreateWebhook) -> WebhookWithSecret:
        """Make a webhook and return it with its secret, which is not told again.

        Raises Invalid; Refusal `url_not_allowed`, `quota_reached` and that of `webhook.change`.
        """
        check_headers(request.headers)
        secret = new_secret()

        async def work(act: Act) -> WebhookWithSecret:
            at = await scene(act.unit, act.principal, circuit_id)
            circuit = at.require(act, Action.WEBHOOK_CHANGE)
            check_url(request.url, self.allowed)
            others = await webhooks_of(act.unit, circuit_id)
            if len(others) >= MOST_WEBHOOKS:
                raise Refusal("quota_reached", f"A circuit has at most {MOST_WEBHOOKS} webhooks.")
            webhook = Webhook(
                webhook_id=new_id(),
                circuit_id=circuit_id,
                created_by=act.user_id,
                name=request.name,
                url=request.url,
                created_at=act.now,
                updated_at=act.now,
                sealed=self.vault.close(Kept(secret, headers=request.headers)),
                trigger_events=request.trigger_events,
                header_names=tuple(request.headers),
                enabled=request.enabled,
            )
            await act.unit.add(WEBHOOKS, webhook)
            await listen(act, circuit, [*others, webhook])
            await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
            await _audit(act, webhook, "created", {"name": webhook.name, "url_host": host_of(webhook.url)})
            return WebhookWithSecret(webhook_view(webhook), secret)

        return await self.units.perform(principal, work)

    async def update(
        self, principal: Principal, circuit_id: str, webhook_id: str, request: UpdateWebhook, accepted: Versions
    ) -> WebhookView:
        """Change a webhook; what is left out stays. Enabling forgets why it was off, disabling cancels what waits.

        Raises Invalid; Refusal `url_not_allowed`, `webhook_unreadable` and that of `webhook.change`.
        """
        if not isinstance(request.headers, Unset):
            check_headers(request.headers)

        async def work(act: Act) -> WebhookView:
            at, before = await self._to_change(act, circuit_id, webhook_id, accepted)
            if not isinstance(request.url, Unset):
                check_url(request.url, self.allowed)
            after = self._changed(act, before, request)
            if after is before:
                return webhook_view(before)
            await self._store(act, at, after)
            if before.enabled and not after.enabled:
                await cancel_waiting(act, webhook_id)
            await _audit(act, after, "updated", {"fields": sorted(given(request))})
            return webhook_view(after)

        return await self.units.perform(principal, work)

    def _changed(self, act: Act, before: Webhook, request: UpdateWebhook) -> Webhook:
        changes = {name: value for name, value in given(request).items() if name != "headers"}
        if not isinstance(request.headers, Unset):
            changes["header_names"] = tuple(request.headers)
            kept = self._kept(before)
            if dict(kept.headers) != dict(request.headers):
                changes["sealed"] = self.vault.close(attrs.evolve(kept, headers=request.headers))
        if request.enabled is True and not before.enabled:
            changes |= {"disabled_reason": None, "failing_since": None}
        changes = {name: value for name, value in changes.items() if getattr(before, name) != value}
        return evolved(before, act.now, **changes) if changes else before

    async def rotate(
        self,
        principal: Principal,
        circuit_id: str,
        webhook_id: str,
        request: RotateSecret,
        accepted: Versions = None,
    ) -> WebhookWithSecret:
        """Give a webhook a new secret; for the time of grace the one of before signs too.

        Raises Refusal `webhook_unreadable` and that of `webhook.change`.
        """
        secret = new_secret()

        async def work(act: Act) -> WebhookWithSecret:
            at, before = await self._to_change(act, circuit_id, webhook_id, accepted)
            kept = self._kept(before)
            sealed = self.vault.close(attrs.evolve(kept, secret=secret, previous=kept.secret))
            until = act.now + timedelta(seconds=request.grace_seconds)
            after = evolved(before, act.now, sealed=sealed, previous_until=until)
            await self._store(act, at, after)
            await _audit(act, after, "rotated", {"grace_seconds": request.grace_seconds})
            return WebhookWithSecret(webhook_view(after), secret)

        return await self.units.perform(principal, work)

    def _kept(self, webhook: Webhook) -> Kept:
        try:
            return self.vault.open(webhook)
        except SealForeign:
            text = "Secret and headers of this webhook were sealed under a DEFARM_SECRET_KEY that is not here."
            raise Refusal("webhook_unreadable", text) from None

    async def delete(self, principal: Principal, circuit_id: str, webhook_id: str, accepted: Versions = None) -> None:
        """Remove a webhook; what waits for it is cancelled, its deliveries stay to be read."""

        async def work(act: Act) -> None:
            at, webhook = await self._to_change(act, circuit_id, webhook_id, accepted)
            await act.unit.remove(WEBHOOKS, webhook)
            await listen(act, at.circuit, await webhooks_of(act.unit, circuit_id))
            await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
            await cancel_waiting(act, webhook_id)
            await _audit(act, webhook, "deleted", {"name": webhook.name})

        await self.units.perform(principal, work)

    async def test(self, principal: Principal, circuit_id: str, webhook_id: str) -> DeliveryView:
        """Leave a real delivery of type `webhook_test`, also for a disabled webhook."""

        async def work(act: Act) -> DeliveryView:
            at, webhook = await self._to_change(act, circuit_id, webhook_id)
            delivery_id = new_id()
            delivery = Delivery(
                delivery_id=delivery_id,
                webhook_id=webhook_id,
                circuit_id=circuit_id,
                source_id=delivery_id,
                trigger=TEST,
                payload=payload_of(TEST, act.now, {"circuit_id": circuit_id, "webhook_id": webhook_id}),
                created_at=act.now,
                asked=True,
                next_attempt_at=act.now,
            )
            await act.unit.add(DELIVERIES, delivery)
            await at.confirm(act)
            await _audit(act, webhook, "tested", {"delivery_id": delivery_id})
            return delivery_view(delivery)

        return await self.units.perform(principal, work)

    async def deliveries(
        self,
        principal: Principal,
        circuit_id: str,
        wanted: DeliveryFilter,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[DeliveryView]:
        """Return deliveries of a circuit, newest first."""
        where: dict[str, Condition] = {"circuit_id": circuit_id}
        equal = {"webhook_id": wanted.webhook_id, "trigger": wanted.trigger}
        where |= {name: value for name, value in equal.items() if value is not None}
        where |= chosen(status=wanted.status)
        async with self.units.storage.read() as reader:
            await self._visible(reader, principal, circuit_id)
            query = Select(where, ("created_at", "delivery_id"), descending=True)
            page = await reader.page(DELIVERIES, query, after, limit)
            return Page(tuple(map(delivery_view, page.items)), page.after)

    async def delivery(self, principal: Principal, circuit_id: str, delivery_id: str) -> DeliveryView:
        """Return one delivery. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            await self._visible(reader, principal, circuit_id)
            return delivery_view(await _delivery(reader, circuit_id, delivery_id))

    async def replay(self, principal: Principal, circuit_id: str, delivery_id: str) -> DeliveryView:
        """Let a final delivery be tried anew, with its id and payload. Raises Refusal `delivery_running`,
        `webhook_gone`."""

        async def work(act: Act) -> DeliveryView:
            at = await scene(act.unit, act.principal, circuit_id)
            decision = at.decide(act, Action.WEBHOOK_CHANGE)
            known(decision)
            before = await _delivery(act.unit, circuit_id, delivery_id)
            at.require(act, Action.WEBHOOK_CHANGE)
            after = replayed(before, act.now)
            webhook = await act.unit.find(WEBHOOKS, before.webhook_id)
            if webhook is None:
                raise Refusal("webhook_gone", "The webhook of this delivery was removed.")
            await act.unit.save(DELIVERIES, after)
            await at.confirm(act)
            await _audit(act, webhook, "replayed", {"delivery_id": delivery_id})
            return delivery_view(after)

        return await self.units.perform(principal, work)

    async def _visible(self, reader: Reader, principal: Principal, circuit_id: str) -> Scene:
        at = await scene(reader, principal, circuit_id)
        at.require(Visit(principal, self.units.clock.now()), Action.WEBHOOK_VIEW)
        return at

    async def _to_change(
        self, act: Act, circuit_id: str, webhook_id: str, accepted: Versions = None
    ) -> tuple[Scene, Webhook]:
        """Return what is to be changed, once it may be. Raises Refusal in the order of circuits.md 0."""
        at = await scene(act.unit, act.principal, circuit_id)
        decision = at.decide(act, Action.WEBHOOK_CHANGE)
        known(decision)
        webhook = await _webhook(act.unit, circuit_id, webhook_id)
        settle(decision, accepted, webhook.version)
        return at, webhook

    async def _store(self, act: Act, at: Scene, webhook: Webhook) -> None:
        await act.unit.save(WEBHOOKS, webhook)
        await listen(act, at.circuit, await webhooks_of(act.unit, webhook.circuit_id))
        await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])


def host_of(url: str) -> str:
    """Return the host of a URL, which is all of it that is told to others."""
    return urlsplit(url).hostname or ""


async def _post_actions(reader: Reader, at: Scene) -> PostActionsView:
    webhooks: Iterable[Webhook] = await webhooks_of(reader, at.circuit.circuit_id)
    return PostActionsView(at.circuit.post_actions_enabled, tuple(map(webhook_view, webhooks)), at.circuit.version)


async def _webhook(reader: Reader, circuit_id: str, webhook_id: str) -> Webhook:
    found = await reader.find(WEBHOOKS, webhook_id)
    if found is None or found.circuit_id != circuit_id:
        raise not_found()
    return found


async def _delivery(reader: Reader, circuit_id: str, delivery_id: str) -> Delivery:
    found = await reader.find(DELIVERIES, delivery_id)
    if found is None or found.circuit_id != circuit_id:
        raise not_found()
    return found


async def _audit(act: Act, webhook: Webhook, verb: str, details: dict[str, object]) -> None:
    subject = ("webhook", webhook.webhook_id)
    await act.audit(f"webhook.{verb}", subject, circuit_id=webhook.circuit_id, details=details)
