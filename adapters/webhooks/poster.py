"""Posting to receivers outside, and never to anything inside (circuits.md 4.19)."""

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import certifi
import httpcore

from domain.errors import DomainError
from domain.webhooks.addresses import Address, Network, check_url, permitted, within
from domain.webhooks.rules import Result
from domain.webhooks.values import DeliveryError

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]
_WISHES: Final = (429, 503)


class _Failed(Exception):
    def __init__(self, error: DeliveryError) -> None:
        super().__init__(error)
        self.error = error


async def resolve(host: str, port: int) -> Sequence[Address]:
    """Return every address of a host. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


def trust() -> ssl.SSLContext:
    """Return what certificates are checked with: the authorities of the system, else those of certifi."""
    context = ssl.create_default_context()
    if not context.get_ca_certs():
        context.load_verify_locations(certifi.where())
    return context


@attrs.define
class GuardedPoster:
    """Sends each request over a connection of its own, to an address that was checked just before.

    `allowed` are networks inside which may be called though they are not global; `http` goes there only. `timeout`
    bounds a whole attempt. Proxies of the environment are not used.
    """

    timeout: float
    allowed: Sequence[Network] = ()
    resolver: Resolver = resolve
    certificates: ssl.SSLContext = attrs.field(factory=trust, repr=False)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        """Send one request and say how it ended (see `Poster`)."""
        begun = time.perf_counter()
        result = await self._ended(url, headers, body)
        return attrs.evolve(result, duration_ms=round((time.perf_counter() - begun) * 1000))

    async def aclose(self) -> None:
        """Nothing is kept between attempts."""

    async def _ended(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        try:
            check_url(url, self.allowed)
            async with asyncio.timeout(self.timeout):
                return await self._send(url, headers, body)
        except DomainError:
            return Result(error=DeliveryError.ADDRESS_REFUSED)
        except _Failed as failed:
            return Result(error=failed.error)
        except (TimeoutError, httpcore.TimeoutException):
            return Result(error=DeliveryError.TIMEOUT)
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return Result(error=_kind(error))

    async def _send(self, url: str, headers: Mapping[str, str], body: bytes) -> Result:
        backend = _Guard(self.allowed, self.resolver, plain=urlsplit(url).scheme == "http")
        fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self.certificates, max_keepalive_connections=0, network_backend=backend
            ) as pool,
            pool.stream("POST", url, headers=fields, content=body) as response,
        ):
            return _result(response.status, response.headers)


def _result(status: int, headers: Iterable[tuple[bytes, bytes]]) -> Result:
    if 200 <= status < 300:
        return Result(status)
    error = DeliveryError.REDIRECT_REFUSED if 300 <= status < 400 else DeliveryError.HTTP_STATUS
    wish = next((value for name, value in headers if name.lower() == b"retry-after"), None)
    return Result(status, error, _pause(wish) if wish is not None and status in _WISHES else None)


def _pause(wish: bytes) -> timedelta | None:
    """Read Retry-After, seconds or a date; None for anything else."""
    text = wish.decode("latin-1").strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(timedelta(), (date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC))


def _kind(error: Exception) -> DeliveryError:
    if any(isinstance(each, ssl.SSLError) for each in _causes(error)):
        return DeliveryError.TLS_FAILED
    if isinstance(error, httpcore.RemoteProtocolError) and "too long" in str(error):
        return DeliveryError.RESPONSE_TOO_LARGE
    return DeliveryError.CONNECT_FAILED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Guard(httpcore.AnyIOBackend):
    """Connects to checked addresses; the name stays for the certificate and the Host header."""

    def __init__(self, allowed: Sequence[Network], resolver: Resolver, *, plain: bool) -> None:
        self._allowed = allowed
        self._resolver = resolver
        self._plain = plain

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        refusal: Exception = _Failed(DeliveryError.DNS_FAILED)
        for address in await self._addresses(host, port):
            try:
                return await super().connect_tcp(str(address), port, *args, **options)
            except httpcore.NetworkError as error:
                refusal = error
        raise refusal

    async def _addresses(self, host: str, port: int) -> Sequence[Address]:
        try:
            found = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise _Failed(DeliveryError.DNS_FAILED) from error
        if not all(map(self._may_call, found)):
            raise _Failed(DeliveryError.ADDRESS_REFUSED)
        return found

    def _may_call(self, address: Address) -> bool:
        return within(address, self._allowed) if self._plain else permitted(address, self._allowed)
