"""Redis behind TLS (`rediss://`)."""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.redis.cache import SCRIPTS
from adapters.redis.link import RedisLink, Scripts
from domain.ports.cache import CacheUnavailable
from tests.servers import RedisServer

HERE = "127.0.0.1"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of its own for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HERE)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return path


async def encrypted(url: str, pem: Path) -> asyncio.Server:
    """Serve TLS in front of a Redis."""
    behind = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, asked = await asyncio.open_connection(behind.hostname, behind.port)
        await asyncio.gather(carry(reader, asked), carry(answers, writer))

    return await asyncio.start_server(serve, HERE, 0, ssl=context)


@pytest.mark.parametrize("run", [uvloop.run, asyncio.run])
def test_questions_and_answers_travel_encrypted_and_to_the_right_server_alone(
    server: RedisServer, pem: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def asked() -> None:
        relay = await encrypted(server.url, pem)
        url = f"rediss://{HERE}:{relay.sockets[0].getsockname()[1]}/0"
        large = b"x" * 100_000
        link = RedisLink(f"{url}?ssl_ca_certs={pem}", Scripts(SCRIPTS), timeout=2.0)
        assert (await link.exchange(lambda _: [("SET", "k", large), ("GET", "k")]))[1] == [b"OK", large]
        await link.aclose()
        stranger = RedisLink(url, Scripts(SCRIPTS), timeout=2.0)
        with pytest.raises(CacheUnavailable, match="certificate"):
            await stranger.exchange(lambda _: [("PING",)])
        await stranger.aclose()
        relay.close()
        # Those who carried have to see that both ends are gone, or their tasks are cancelled.
        await asyncio.sleep(0.1)

    run(asked())
