"""Webhooks from a trigger to a receiver (circuits.md 4.19; acceptance scenarios 39, 40, 42, 44)."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import cycle
from typing import Any

import attrs
import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from adapters.webhooks.poster import GuardedPoster
from application.circuits.requests import CreateCircuit, PublicRequest
from application.notifications.texts import rendered
from application.sealing import Seal
from application.webhooks.requests import (
    DeliveryFilter,
    RotateSecret,
    SwitchPostActions,
    UpdateWebhook,
)
from application.webhooks.vault import Vault
from domain.access.principal import Principal
from domain.access.vocabulary import OperationStatus
from domain.errors import Invalid, Refusal
from domain.ports.schema import AUDIT, CIRCUITS, DELIVERIES, NOTIFICATIONS, OPERATIONS, OUTBOX, WEBHOOKS
from domain.webhooks.addresses import Address
from domain.webhooks.rules import PATIENCE, secret_text
from domain.webhooks.triggers import Trigger
from domain.webhooks.values import DeliveryStatus
from tests.application.circuits.world import sisbov
from tests.application.webhooks.conftest import ATTEMPT, LOOPBACK, ROOT, Post
from tests.application.webhooks.receiver import DROP, OK, Receiver, Request, receiving, status


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(Refusal) as refusal:
        await call
    return refusal.value.code


async def circuit_of(post: Post, name: str = "ana") -> tuple[Principal, str]:
    owner = await post.world.user(name)
    return owner, (await post.world.circuit(owner)).circuit_id


async def pushed(post: Post, owner: Principal, circuit_id: str) -> str:
    dfid = await post.world.item(owner)
    await post.world.circuits.push(owner, circuit_id, dfid)
    return dfid


async def test_scenario_39_a_library_accepts_a_delivery_and_its_body_is_what_the_log_shows(
    post: Post, receiver: Receiver
) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url, headers={"X-Farm": "seven oxen"})
    dfid = await pushed(post, owner, circuit_id)
    await post.work()
    (request,) = receiver.requests
    (delivery,) = await post.deliveries(owner, circuit_id)
    told = json.loads(request.body)
    assert (told["type"], told["data"]["dfid"], told["data"]["circuit_id"]) == ("item_pushed", dfid, circuit_id)
    assert request.body == delivery.payload
    assert request.headers["x-farm"] == "seven oxen"
    assert request.headers["user-agent"] == "defarm-webhooks/1"
    assert request.headers["webhook-id"] == delivery.delivery_id
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert verified(made.secret, request) == told
    for tampered in (request.body.replace("push", "pusH"), request.body + " "):
        with pytest.raises(WebhookVerificationError):
            verified(made.secret, attrs.evolve(request, body=tampered))
    assert (delivery.status, delivery.attempts, delivery.last_status_code) == ("delivered", 1, 204)
    assert delivery.delivered_at is not None
    assert post.results == ["delivered"]


class _Then:
    """The clock of the verifier, set to when something was sent."""

    def __init__(self, request: Request) -> None:
        self._instant = datetime.fromtimestamp(int(request.headers["webhook-timestamp"]), UTC)

    def now(self, tz: Any = None) -> Any:
        return self._instant

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)


def verified(secret: str, request: Request) -> Any:
    """Return what a delivery says, once the library accepts its signature."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("standardwebhooks.webhooks.datetime", _Then(request))
        return Verifier(secret).verify(request.body, request.headers)


async def test_scenario_15_of_two_pushes_of_an_item_one_is_told(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    await post.hook(owner, circuit_id, receiver.url)
    dfid = await pushed(post, owner, circuit_id)
    again = await post.world.circuits.push(owner, circuit_id, dfid)
    assert again.outcome == "already_placed"
    await post.work()
    assert [json.loads(request.body)["type"] for request in receiver.requests] == ["item_pushed"]


async def test_scenario_40_a_first_tokenising_push_tells_each_thing_once_and_nothing_before_approval(
    post: Post, receiver: Receiver
) -> None:
    world = post.world
    ana, bia = await world.user("ana"), await world.user("bia")
    request = CreateCircuit(
        name="Novilho",
        require_approval_for_push=True,
        allow_public_visibility=True,
        public_settings=PublicRequest(auto_publish_pushed_items=True),
    )
    circuit_id = (await world.circuits.create(ana, request)).circuit_id
    await world.join(ana, circuit_id, bia)
    await post.hook(ana, circuit_id, receiver.url)
    local_id = await world.draft(bia, sisbov(1))
    await world.push_local(bia, circuit_id, local_id)
    await post.work()
    assert receiver.requests == []
    (waiting,) = await world.rows(OPERATIONS, status=OperationStatus.PENDING)
    await world.circuits.approve_operation(ana, waiting.operation_id, circuit_id)
    await post.work()
    told = [json.loads(request.body) for request in receiver.requests]
    assert Counter(one["type"] for one in told) == Counter(
        ["item_pushed", "item_tokenized", "item_approved", "item_published"]
    )
    assert len({one["data"]["dfid"] for one in told}) == 1
    assert await refused(world.circuits.approve_operation(ana, waiting.operation_id, circuit_id)) == "operation_decided"
    await post.work()
    assert len(receiver.requests) == 4


async def test_scenario_41_a_delivery_says_that_nothing_inside_was_called(post: Post, receiver: Receiver) -> None:
    """Names that resolve to something inside, one that changes its address after a good attempt, and a redirect."""
    inside = {"loop": "::1", "meta": "169.254.169.254", "ula": "fd12:3456::1", "mapped": "::ffff:10.0.0.1"}
    known = {**inside, "127": "127.0.0.1"}
    turned = ["127.0.0.1", "10.0.0.1"]

    async def resolve(host: str, port: int) -> Sequence[Address]:
        name = host.partition(".")[0]
        if name == "turning":
            return [ip_address(turned.pop(0) if len(turned) > 1 else turned[0])]
        return [ip_address(known[name])]

    owner, circuit_id = await circuit_of(post)
    async with receiving() as hidden:
        urls = {name: f"https://{name}.example.org:{hidden.port}/" for name in inside}
        urls |= {"turning": f"http://turning.example.org:{receiver.port}/", "redirect": f"{receiver.url}/away"}
        names = {(await post.hook(owner, circuit_id, url)).webhook.webhook_id: name for name, url in urls.items()}
        away = status(302, f"location: {hidden.url}")
        receiver.answer = lambda request: away if request.path.endswith("away") else OK
        post.courier.poster = lambda: GuardedPoster(ATTEMPT, LOOPBACK, resolve)
        for _ in range(2):
            await pushed(post, owner, circuit_id)
            await post.work()
        assert hidden.requests == []
    told = Counter((names[one.webhook_id], one.last_error) for one in await post.deliveries(owner, circuit_id))
    assert told == {
        **{(name, "address_refused"): 2 for name in inside},
        ("redirect", "redirect_refused"): 2,
        ("turning", None): 1,
        ("turning", "address_refused"): 1,
    }
    assert [request.path for request in receiver.requests if not request.path.endswith("away")] == ["/"]


async def test_joining_and_withdrawing_are_told(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    bia = await post.world.user("bia")
    await post.hook(owner, circuit_id, receiver.url)
    await post.world.join(owner, circuit_id, bia)
    dfid = await pushed(post, owner, circuit_id)
    await post.world.circuits.withdraw(owner, circuit_id, dfid)
    await post.work()
    told = {one["type"]: one["data"] for one in (json.loads(request.body) for request in receiver.requests)}
    assert set(told) == {"member_joined", "item_pushed", "item_withdrawn"}
    assert told["member_joined"] == {"circuit_id": circuit_id, "user_id": bia.user_id}
    assert told["item_withdrawn"] == {"circuit_id": circuit_id, "dfid": dfid}


async def test_no_row_is_left_where_nobody_listens(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    await pushed(post, owner, circuit_id)
    assert await post.world.rows(OUTBOX) == []
    made = await post.hook(owner, circuit_id, receiver.url, trigger_events=frozenset({Trigger.MEMBER_JOINED}))
    await pushed(post, owner, circuit_id)
    assert await post.world.rows(OUTBOX) == []
    version = frozenset({made.webhook.version})
    wider = UpdateWebhook(trigger_events=frozenset(Trigger))
    view = await post.webhooks.update(owner, circuit_id, made.webhook.webhook_id, wider, version)
    await pushed(post, owner, circuit_id)
    assert [row.kind for row in await post.world.rows(OUTBOX)] == ["item_pushed"]
    off = UpdateWebhook(enabled=False)
    await post.webhooks.update(owner, circuit_id, view.webhook_id, off, frozenset({view.version}))
    await pushed(post, owner, circuit_id)
    assert len(await post.world.rows(OUTBOX)) == 1


async def test_switched_off_a_circuit_tells_nothing_and_expands_nothing(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    await post.hook(owner, circuit_id, receiver.url)
    await pushed(post, owner, circuit_id)
    seen = await post.webhooks.post_actions(owner, circuit_id)
    assert (seen.enabled, len(seen.webhooks)) == (True, 1)
    before = (await post.world.circuits.get(owner, circuit_id)).updated_at
    switch = SwitchPostActions(enabled=False)
    off = await post.webhooks.switch(owner, circuit_id, switch, frozenset({seen.version}))
    assert (off.enabled, off.version) == (False, seen.version + 1)
    assert (await post.world.circuits.get(owner, circuit_id)).updated_at > before
    await pushed(post, owner, circuit_id)
    await post.work()
    assert receiver.requests == []
    assert await post.deliveries(owner, circuit_id) == []


async def test_scenario_42_a_failing_receiver_gets_every_message_with_one_id_and_a_valid_signature(
    post: Post, receiver: Receiver
) -> None:
    """The receiver fails, then drops the connection; a worker dies; the secret is rotated; then all is well."""
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url)
    dfids = {await pushed(post, owner, circuit_id) for _ in range(3)}
    troubles = cycle([status(500), status(503, "retry-after: 60"), DROP])
    receiver.answer = lambda request: next(troubles)
    await post.work()
    assert {one.status for one in await post.deliveries(owner, circuit_id)} == {DeliveryStatus.RETRYING}
    post.world.clock.pass_by(timedelta(minutes=2))
    await post.courier._claim(2)
    receiver.answer = lambda request: OK
    rotated = await post.webhooks.rotate(owner, circuit_id, made.webhook.webhook_id, RotateSecret(3600))
    assert rotated.secret != made.secret
    for _ in range(3):
        post.world.clock.pass_by(timedelta(minutes=2))
        await post.courier.drain()
    deliveries = await post.deliveries(owner, circuit_id)
    assert {one.status for one in deliveries} == {DeliveryStatus.DELIVERED}
    ids: dict[str, set[str]] = {}
    for request in receiver.requests:
        ids.setdefault(json.loads(request.body)["data"]["dfid"], set()).add(request.headers["webhook-id"])
    assert {dfid: len(found) for dfid, found in ids.items()} == dict.fromkeys(dfids, 1)
    assert len(receiver.requests) >= 2 * len(dfids)
    for request in receiver.requests:
        signed = request.headers["webhook-signature"].split()
        for secret in (made.secret, rotated.secret)[: len(signed)]:
            assert verified(secret, request)
    assert len(signed) == 2


async def test_scenario_42_gone_disables_and_dead_deliveries_can_be_replayed(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url)
    await pushed(post, owner, circuit_id)
    receiver.answer = lambda request: status(410)
    await post.work()
    (dead,) = await post.deliveries(owner, circuit_id)
    assert (dead.status, dead.last_status_code) == ("dead", 410)
    seen = await post.webhooks.webhook(owner, circuit_id, made.webhook.webhook_id)
    assert (seen.enabled, seen.disabled_reason) == (False, "gone")
    (told,) = [row for row in await post.world.rows(NOTIFICATIONS) if row.type == "webhook_disabled"]
    assert (told.user_id, told.data["url_host"], told.data["failures"]) == (owner.user_id, "127.0.0.1", 1)
    _, message, _ = rendered(told, "en", {}, {})
    assert message == "The webhook to 127.0.0.1 in a circuit was switched off after repeated failures."
    (circuit,) = await post.world.rows(CIRCUITS)
    assert circuit.triggers == frozenset()
    receiver.answer = lambda request: OK
    again = await post.webhooks.replay(owner, circuit_id, dead.delivery_id)
    assert (again.status, again.attempts) == ("pending", 0)
    assert await refused(post.webhooks.replay(owner, circuit_id, dead.delivery_id)) == "delivery_running"
    await post.work()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [dead.delivery_id] * 2
    assert (await post.webhooks.delivery(owner, circuit_id, dead.delivery_id)).status == "delivered"
    on = UpdateWebhook(enabled=True)
    seen = await post.webhooks.webhook(owner, circuit_id, made.webhook.webhook_id)
    view = await post.webhooks.update(owner, circuit_id, seen.webhook_id, on, frozenset({seen.version}))
    assert (view.enabled, view.disabled_reason, view.failing_since) == (True, None, None)
    await post.webhooks.delete(owner, circuit_id, seen.webhook_id)
    assert await refused(post.webhooks.replay(owner, circuit_id, dead.delivery_id)) == "webhook_gone"


async def test_five_days_without_success_switch_a_webhook_off_and_cancel_what_waits(
    post: Post, receiver: Receiver
) -> None:
    owner, circuit_id = await circuit_of(post)
    await post.hook(owner, circuit_id, receiver.url)
    receiver.answer = lambda request: status(500)
    await pushed(post, owner, circuit_id)
    await post.work()
    post.world.clock.pass_by(PATIENCE)
    await pushed(post, owner, circuit_id)
    await pushed(post, owner, circuit_id)
    await post.relay.drain()
    post.courier.workers = 1
    await post.courier.drain()
    (webhook,) = await post.world.rows(WEBHOOKS)
    assert (webhook.enabled, webhook.disabled_reason) == (False, "failing")
    await post.work()
    found = Counter(one.status.value for one in await post.deliveries(owner, circuit_id))
    assert found["pending"] == found["delivering"] == 0
    assert found["cancelled"] >= 1


async def test_a_test_delivery_really_goes_out_even_when_the_webhook_is_off(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url, enabled=False)
    view = await post.webhooks.test(owner, circuit_id, made.webhook.webhook_id)
    assert (view.status, view.trigger) == ("pending", "webhook_test")
    await post.work()
    (request,) = receiver.requests
    assert json.loads(request.body)["type"] == "webhook_test"
    assert (await post.webhooks.delivery(owner, circuit_id, view.delivery_id)).status == "delivered"


async def test_deleting_a_webhook_cancels_what_waits_however_much(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url)
    webhook_id = made.webhook.webhook_id
    for _ in range(12):
        await post.webhooks.test(owner, circuit_id, webhook_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("application.webhooks.feeding.AT_ONCE", 5)
        await post.webhooks.delete(owner, circuit_id, webhook_id)
        await post.relay.drain()
    assert {row.status for row in await post.world.rows(DELIVERIES)} == {DeliveryStatus.CANCELLED}
    await post.courier.drain()
    assert receiver.requests == []
    assert await refused(post.webhooks.webhook(owner, circuit_id, webhook_id)) == "not_found"


async def test_secrets_and_headers_are_told_once_and_stored_for_nobody_to_read(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url, headers={"Authorization": "Bearer canary-value"})
    rotated = await post.webhooks.rotate(owner, circuit_id, made.webhook.webhook_id, RotateSecret())
    (stored,) = await post.world.rows(WEBHOOKS)
    shown = await post.webhooks.webhook(owner, circuit_id, made.webhook.webhook_id)
    audit = await post.world.rows(AUDIT)
    for secret in ("canary-value", made.secret, rotated.secret, made.secret[6:40]):
        assert secret not in repr(stored) + stored.sealed + repr(shown) + repr(audit) + repr((made, rotated))
    assert shown.header_names == ("Authorization",)


SPOILING = (
    {"Host": "elsewhere"},
    {"Content-Length": "3"},
    {"Webhook-Id": "mine"},
    {"X Farm": "blank"},
    {"X-Farm": "line\r\nInjected: yes"},
    {"X-Farm": "a", "x-farm": "b"},
    {"X-Farm": "ação"},
    {"X-Farm": "copied with a blank "},
    {"X-Farm": " copied with a blank"},
    {"X-Farm": "x" * 1025},
)


async def test_headers_that_could_change_or_spoil_the_request_are_refused(post: Post) -> None:
    owner, circuit_id = await circuit_of(post)
    for headers in SPOILING:
        with pytest.raises(Invalid):
            await post.hook(owner, circuit_id, "https://erp.example.org/", headers=headers)
    await post.hook(owner, circuit_id, "https://erp.example.org/", headers={"X-Farm": "x" * 1024, "X-None": ""})


async def test_only_holders_of_manage_settings_see_and_change_webhooks(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    bia, stranger = await post.world.user("bia"), await post.world.user("caio")
    await post.world.join(owner, circuit_id, bia)
    made = await post.hook(owner, circuit_id, receiver.url)
    for who, code in ((bia, "permission_missing"), (stranger, "not_found")):
        assert await refused(post.webhooks.webhooks(who, circuit_id)) == code
        assert await refused(post.webhooks.test(who, circuit_id, made.webhook.webhook_id)) == code
        assert await refused(post.hook(who, circuit_id, receiver.url)) == code


async def test_scenario_44_webhooks_and_deliveries_of_another_circuit_are_not_found(
    post: Post, receiver: Receiver
) -> None:
    ana, hers = await circuit_of(post)
    bia, other = await circuit_of(post, "bia")
    made = await post.hook(ana, hers, receiver.url)
    delivery = await post.webhooks.test(ana, hers, made.webhook.webhook_id)
    hooks, webhook_id, version = post.webhooks, made.webhook.webhook_id, frozenset({1})
    before = await post.world.rows(WEBHOOKS)
    for call in (
        hooks.webhook(bia, other, webhook_id),
        hooks.update(bia, other, webhook_id, UpdateWebhook(enabled=False), version),
        hooks.rotate(bia, other, webhook_id, RotateSecret()),
        hooks.delete(bia, other, webhook_id),
        hooks.test(bia, other, webhook_id),
        hooks.delivery(bia, other, delivery.delivery_id),
        hooks.replay(bia, other, delivery.delivery_id),
    ):
        assert await refused(call) == "not_found"
    assert await post.world.rows(WEBHOOKS) == before
    assert (await hooks.deliveries(bia, other, DeliveryFilter())).items == ()


async def test_a_circuit_has_at_most_twenty_webhooks(post: Post) -> None:
    owner, circuit_id = await circuit_of(post)
    for _ in range(20):
        await post.hook(owner, circuit_id, "https://erp.example.org/")
    assert await refused(post.hook(owner, circuit_id, "https://erp.example.org/")) == "quota_reached"


async def test_a_slow_receiver_delays_only_itself(post: Post, receiver: Receiver) -> None:
    """A backlog of one webhook, longer than a look, does not hide what waits for another one."""
    owner, circuit_id = await circuit_of(post)
    slow = await post.hook(owner, circuit_id, receiver.url)
    for _ in range(130):
        await post.webhooks.test(owner, circuit_id, slow.webhook.webhook_id)
    quick = await post.hook(owner, circuit_id, receiver.url.replace("/hook", "/quick"))
    receiver.hold = asyncio.Event()
    running = asyncio.create_task(post.courier.run())
    post.courier.poll = 0.01
    async with asyncio.timeout(30):
        while receiver.most_at_once < 4:
            await asyncio.sleep(0.01)
    await post.webhooks.test(owner, circuit_id, quick.webhook.webhook_id)
    async with asyncio.timeout(30):
        while not any(request.path == "/quick" for request in receiver.requests):
            await asyncio.sleep(0.01)
    assert sum(request.path == "/hook" for request in receiver.requests) == 4
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    receiver.hold.set()
    found = Counter(row.status for row in await post.world.rows(DELIVERIES))
    assert set(found) == {DeliveryStatus.PENDING}


async def test_old_deliveries_are_removed_when_their_time_is_over(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url)
    await post.webhooks.test(owner, circuit_id, made.webhook.webhook_id)
    await post.work()
    assert await post.courier.sweep() == 0
    post.world.clock.pass_by(post.courier.retention)
    await post.webhooks.test(owner, circuit_id, made.webhook.webhook_id)
    assert await post.courier.sweep() == 1
    assert len(await post.world.rows(DELIVERIES)) == 1


async def test_lists_are_filtered_by_webhook_status_and_trigger(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    first = await post.hook(owner, circuit_id, receiver.url)
    second = await post.hook(owner, circuit_id, receiver.url)
    await post.webhooks.test(owner, circuit_id, first.webhook.webhook_id)
    await pushed(post, owner, circuit_id)
    await post.work()
    await post.webhooks.test(owner, circuit_id, second.webhook.webhook_id)

    async def count(**wanted: Any) -> int:
        return len((await post.webhooks.deliveries(owner, circuit_id, DeliveryFilter(**wanted))).items)

    assert await count() == 4
    assert await count(webhook_id=first.webhook.webhook_id) == 2
    assert await count(status=frozenset({DeliveryStatus.PENDING})) == 1
    assert await count(status=frozenset({DeliveryStatus.PENDING, DeliveryStatus.DELIVERED})) == 4
    assert await count(trigger="webhook_test") == 2
    assert await count(trigger="item_pushed", status=frozenset({DeliveryStatus.DELIVERED})) == 2


async def test_after_a_rotation_of_the_root_key_the_previous_one_can_go(post: Post, receiver: Receiver) -> None:
    owner, circuit_id = await circuit_of(post)
    made = await post.hook(owner, circuit_id, receiver.url, headers={"X-Key": "canary"})
    fresh, both = Seal.of("defarm/webhook", b"n" * 32), Seal.of("defarm/webhook", b"n" * 32, ROOT)
    post.courier.vault = Vault(fresh)
    await post.webhooks.test(owner, circuit_id, made.webhook.webhook_id)
    await post.courier.drain()
    assert (receiver.requests, post.results[0]) == ([], "unreadable")
    lost = attrs.evolve(post.webhooks, vault=Vault(fresh))
    named = (owner, circuit_id, made.webhook.webhook_id)
    assert await refused(lost.rotate(*named, RotateSecret())) == "webhook_unreadable"
    assert await refused(lost.update(*named, UpdateWebhook(headers={}), None)) == "webhook_unreadable"
    post.courier.vault = Vault(both)
    assert (await post.courier.reseal(), await post.courier.reseal()) == (1, 0)
    post.courier.vault = Vault(fresh)
    await post.webhooks.test(owner, circuit_id, made.webhook.webhook_id)
    await post.courier.drain()
    assert receiver.requests[-1].headers["x-key"] == "canary"


def test_secrets_have_the_form_of_the_standard() -> None:
    assert secret_text(bytes(range(32))) == "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
