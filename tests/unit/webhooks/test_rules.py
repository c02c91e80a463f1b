"""What is sent and when again (circuits.md 4.19; acceptance scenarios 39, 41)."""

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from domain.errors import Invalid, Refusal
from domain.webhooks.addresses import check_url, permitted
from domain.webhooks.rules import (
    PATIENCE,
    PAUSES,
    Result,
    after_result,
    payload_of,
    replayed,
    secret_text,
    settled,
    signature,
    taken,
)
from domain.webhooks.values import Delivery, DeliveryError, DeliveryStatus, DisabledReason, Webhook

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DELIVERY = Delivery("d", "w", "c", "row", "item_pushed", "{}", NOW, next_attempt_at=NOW)
WEBHOOK = Webhook("w", "c", "u", "ERP", "https://erp.example.org/", NOW, NOW, "sealed")


def test_scenario_39_the_signature_is_that_of_the_vector() -> None:
    data = {
        "circuit_id": "018f3a00-0000-7000-8000-0000000000d1",
        "dfid": "DFID-20250108-000042-94E",
        "operation_id": "01941f60-6a80-7000-8000-0000000000f2",
    }
    body = payload_of("item_pushed", datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC), data)
    assert len(body.encode()) == 213
    made = signature([SECRET], "01941f60-6a80-7000-8000-0000000000f1", 1760000000, body)
    assert made == "v1,7aYcQMajcM1YeT+HVJfkGYjEKrBf+9HNk29hlCY9xY4="


@given(st.binary(min_size=32, max_size=32), st.dictionaries(st.text(max_size=10), st.text(max_size=20)), st.data())
def test_scenario_39_a_library_accepts_what_was_signed_and_nothing_else(
    key: bytes, data: dict[str, str], draw: st.DataObject
) -> None:
    now = datetime.now(UTC)
    body = payload_of("item_pushed", now, data)
    other = secret_text(b"x" * 32)
    headers = {
        "webhook-id": "msg",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature([other, secret_text(key)], "msg", int(now.timestamp()), body),
    }
    verifier = Verifier(base64.b64encode(key).decode())
    assert verifier.verify(body, headers) == json.loads(body)
    place = draw.draw(st.integers(0, len(body) - 1))
    broken = body[:place] + chr((ord(body[place]) + 1) % 128) + body[place + 1 :]
    with pytest.raises(WebhookVerificationError):
        verifier.verify(broken, headers)


def test_pauses_grow_as_told_and_the_tenth_failure_is_the_last() -> None:
    delivery, waits = DELIVERY, []
    failure = Result(500, DeliveryError.HTTP_STATUS)
    for _ in range(10):
        delivery = settled(taken(delivery, NOW), failure, NOW, spread=lambda: 0.5)
        if delivery.next_attempt_at is not None:
            waits.append(delivery.next_attempt_at - NOW)
    assert tuple(waits) == PAUSES
    assert (delivery.status, delivery.attempts, delivery.ended_at) == (DeliveryStatus.DEAD, 10, NOW)
    assert (delivery.last_status_code, delivery.last_error) == (500, DeliveryError.HTTP_STATUS)


def test_pauses_are_spread_by_a_fifth() -> None:
    held = taken(DELIVERY, NOW)
    soonest, latest = (
        settled(held, Result(500), NOW, spread=lambda at=at: at).next_attempt_at  # type: ignore[misc]
        for at in (0.0, 1.0)
    )
    assert (soonest, latest) == (NOW + timedelta(seconds=4), NOW + timedelta(seconds=6))


def test_a_wish_to_be_asked_later_is_honoured_up_to_a_day() -> None:
    held = taken(DELIVERY, NOW)
    wishes = {timedelta(hours=2): timedelta(hours=2), timedelta(days=9): timedelta(hours=24)}
    for wish, granted in wishes.items():
        assert settled(held, Result(503, retry_after=wish), NOW).next_attempt_at == NOW + granted


def test_a_worker_that_dies_with_the_last_attempt_leaves_a_dead_delivery() -> None:
    held = attrs.evolve(taken(DELIVERY, NOW), attempts=10)
    assert taken(held, NOW).status is DeliveryStatus.DEAD


def test_only_what_is_final_is_replayed() -> None:
    for status in DeliveryStatus:
        delivery = attrs.evolve(DELIVERY, status=status, attempts=10)
        if status in (DeliveryStatus.DELIVERED, DeliveryStatus.DEAD, DeliveryStatus.CANCELLED):
            again = replayed(delivery, NOW)
            assert (again.status, again.attempts, again.payload) == ("pending", 0, delivery.payload)
        else:
            with pytest.raises(Refusal, match="delivery_running"):
                replayed(delivery, NOW)


def test_a_webhook_is_disabled_by_410_and_by_five_days_without_success() -> None:
    assert after_result(WEBHOOK, Result(410), NOW).disabled_reason is DisabledReason.GONE
    failing = after_result(WEBHOOK, Result(500), NOW)
    assert (failing.enabled, failing.failing_since) == (True, NOW)
    assert after_result(failing, Result(500), NOW + PATIENCE - timedelta(seconds=1)) is failing
    assert after_result(failing, Result(500), NOW + PATIENCE).disabled_reason is DisabledReason.FAILING
    well = after_result(failing, Result(200), NOW)
    assert (well.failing_since, well.last_success_at) == (None, NOW)
    assert after_result(well, Result(200), NOW + timedelta(seconds=59)) is well


# fmt: off
REFUSED = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "240.0.0.1", "::1", "::",
    "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
    "2002:0a00:0001::", "2002:7f00:1::", "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe", "::10.0.0.1",
]
# fmt: on
GLOBAL = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8", "2002:0808:0808::"]


@pytest.mark.parametrize("text", REFUSED)
def test_scenario_41_nothing_inside_may_be_called_in_whatever_form(text: str) -> None:
    assert not permitted(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", GLOBAL)
def test_global_addresses_may_be_called(text: str) -> None:
    assert permitted(ipaddress.ip_address(text), ())


def test_networks_of_the_operator_may_be_called_and_no_others() -> None:
    allowed = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
    for text in ("10.1.2.3", "fd12::1", "::ffff:10.0.0.1", "8.8.8.8"):
        assert permitted(ipaddress.ip_address(text), allowed)
    for text in ("192.168.1.1", "127.0.0.1", "fc00::1"):
        assert not permitted(ipaddress.ip_address(text), allowed)


@pytest.mark.parametrize(
    "url",
    [
        "http://erp.example.org:8080/",
        "https://ana:secret@erp.example.org/",
        "https://erp.example.org/#part",
        "https://erp.example.org:22/",
        "https://erp.example.org:99999/",
        "https:///nowhere",
        "ftp://erp.example.org/",
        "https://erp.example.org/ space",
        "https://[::1/",
        "https://erp.example.org/" + "a" * 2048,
    ],
)
def test_a_url_that_nothing_could_be_sent_to_is_faulty(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url, ())


def test_an_address_inside_is_refused_when_it_is_given_as_such() -> None:
    inside = [ipaddress.ip_network("10.0.0.0/8")]
    for url in ("https://127.0.0.1/", "https://[fc00::1]:8443/", "https://169.254.169.254/latest"):
        with pytest.raises(Refusal, match="url_not_allowed"):
            check_url(url, inside)
    check_url("https://erp.example.org:8443/hook?a=1", ())
    check_url("http://10.0.0.7:8080/hook", inside)
    check_url("http://erp.internal:8080/hook", inside)
    with pytest.raises(Refusal, match="url_not_allowed"):
        check_url("http://8.8.8.8:8080/", inside)
