"""Nothing inside is reached, whatever names and receivers say (circuits.md 4.19; acceptance scenario 41)."""

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.webhooks.poster import GuardedPoster
from domain.webhooks.addresses import Address
from tests.application.webhooks.conftest import ATTEMPT, LOOPBACK
from tests.application.webhooks.receiver import DROP, Receiver, receiving, status
from tests.machines import free_port


def named(*answers: str):  # type: ignore[no-untyped-def]
    """Return a resolver that answers with these addresses, one list per call, the last one for ever."""
    queue = [[ipaddress.ip_address(one) for one in answer.split()] for answer in answers]

    async def resolve(host: str, port: int) -> Sequence[Address]:
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return resolve


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "169.254.169.254", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "8.8.8.8 127.0.0.1", "::1"],
)
async def test_scenario_41_a_name_that_resolves_to_something_inside_is_not_called(
    receiver: Receiver, address: str
) -> None:
    poster = GuardedPoster(ATTEMPT, resolver=named(address))
    result = await poster.post(f"https://erp.example.org:{receiver.port}/", {}, b"{}")
    assert (result.status_code, result.error) == (None, "address_refused")
    assert receiver.requests == []


async def test_scenario_41_a_name_that_changes_its_address_is_judged_at_every_attempt(receiver: Receiver) -> None:
    """What was checked is what is called: there is no second look-up between the check and the connection."""
    poster = GuardedPoster(ATTEMPT, LOOPBACK, resolver=named("127.0.0.1", "10.0.0.1"))
    url = f"http://erp.example.org:{receiver.port}/"
    assert (await poster.post(url, {}, b"{}")).delivered
    assert receiver.requests[0].headers["host"] == f"erp.example.org:{receiver.port}"
    assert (await poster.post(url, {}, b"{}")).error == "address_refused"
    assert len(receiver.requests) == 1


async def test_scenario_41_a_redirect_is_not_followed(receiver: Receiver) -> None:
    async with receiving() as inside:
        receiver.answer = lambda request: status(307, f"location: {inside.url}")
        result = await GuardedPoster(ATTEMPT, LOOPBACK).post(receiver.url, {}, b"{}")
        assert (result.status_code, result.error) == (307, "redirect_refused")
        assert inside.requests == []


async def test_a_setting_that_was_narrowed_counts_at_the_next_attempt(receiver: Receiver) -> None:
    assert (await GuardedPoster(ATTEMPT).post(receiver.url, {}, b"{}")).error == "address_refused"
    assert receiver.requests == []


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await GuardedPoster(ATTEMPT, LOOPBACK).post(receiver.url, {}, b"{}")).delivered


async def test_every_way_to_fail_has_its_name(receiver: Receiver) -> None:
    poster = GuardedPoster(ATTEMPT, LOOPBACK)
    receiver.answer = lambda request: status(429, "retry-after: 120")
    result = await poster.post(receiver.url, {}, b"{}")
    assert (result.status_code, result.error, result.retry_after) == (
        429,
        "http_status",
        datetime.timedelta(seconds=120),
    )
    receiver.answer = lambda request: DROP
    assert (await poster.post(receiver.url, {}, b"{}")).error == "connect_failed"
    receiver.answer = lambda request: b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000
    assert (await poster.post(receiver.url, {}, b"{}")).error == "response_too_large"
    receiver.hold = asyncio.Event()
    result = await GuardedPoster(0.3, LOOPBACK).post(receiver.url, {}, b"{}")
    assert result.error == "timeout"
    assert 250 <= result.duration_ms < ATTEMPT * 1000
    receiver.hold.set()
    assert (await poster.post(f"http://127.0.0.1:{free_port()}/", {}, b"{}")).error == "connect_failed"
    assert (await poster.post("https://no-such-name.invalid/", {}, b"{}")).error == "dns_failed"


async def test_a_receiver_that_sends_without_end_costs_nothing(receiver: Receiver) -> None:
    receiver.answer = lambda request: b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n" + b"a" * 65_536
    assert (await GuardedPoster(ATTEMPT, LOOPBACK).post(receiver.url, {}, b"{}")).delivered


def _certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, keyfile = folder / "cert.pem", folder / "key.pem"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    encoded = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    keyfile.write_bytes(encoded)
    return pem, keyfile


async def test_certificates_are_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    pem, keyfile = _certificate(tmp_path, "erp.example.org")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, keyfile)
    trusting = ssl.create_default_context(cafile=str(pem))
    async with receiving(server) as receiver:
        url = f"https://erp.example.org:{receiver.port}/"
        known = GuardedPoster(ATTEMPT, LOOPBACK, named("127.0.0.1"), trusting)
        assert (await known.post(url, {}, b"{}")).delivered
        other = f"https://other.example.org:{receiver.port}/"
        assert (await known.post(other, {}, b"{}")).error == "tls_failed"
        assert (await GuardedPoster(ATTEMPT, LOOPBACK, named("127.0.0.1")).post(url, {}, b"{}")).error == "tls_failed"
        assert len(receiver.requests) == 1
