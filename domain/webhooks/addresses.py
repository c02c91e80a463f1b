"""Where deliveries may go: nowhere inside, unless the operator says so (circuits.md 1.8, 4.19)."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import SplitResult, urlsplit

from domain.errors import Fault, Invalid, Refusal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_VISIBLE = re.compile(r"[!-~]+")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def check_url(url: str, allowed: Sequence[Network]) -> None:
    """Refuse a URL to which no delivery could ever be made.

    `http` needs `allowed` networks. Raises Invalid for its form, Refusal `url_not_allowed` for an address of a
    network that may not be called.
    """
    parts = _split(url)
    if parts is None or not _well_formed(url, parts, http=bool(allowed)):
        words = "An https URL without user, password or fragment, on port 443, 8443 or from 1024 on, is needed."
        raise Invalid([Fault("format", words, pointer="/url")])
    literal = _literal(parts.hostname or "")
    inside = literal is not None and not permitted(literal, allowed)
    if inside or (literal is not None and parts.scheme == "http" and not within(literal, allowed)):
        raise Refusal("url_not_allowed", f"Deliveries to {parts.hostname} are not allowed.")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _well_formed(url: str, parts: SplitResult, *, http: bool) -> bool:
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
    return (
        len(url) <= LONGEST_URL
        and _VISIBLE.fullmatch(url) is not None
        and parts.scheme in (("https", "http") if http else ("https",))
        and bool(parts.hostname)
        and "@" not in parts.netloc
        and "#" not in url
        and (port in (443, 8443) or port >= 1024)
    )


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def permitted(address: Address, allowed: Iterable[Network]) -> bool:
    """Tell whether a delivery may go to an address: global in every form it has, or inside `allowed`."""
    return within(address, allowed) or all(map(_global, _forms(address)))


def within(address: Address, allowed: Iterable[Network]) -> bool:
    """Tell whether an address is inside one of the networks; an IPv4 address in IPv6 form counts as itself."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    plain = mapped or address
    return any(plain.version == network.version and plain in network for network in allowed)


def _forms(address: Address) -> Iterator[Address]:
    """Yield an address and every IPv4 address that it stands for."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    yield from (one for one in inner if one is not None)


def _global(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _global(address.ipv4_mapped)
        if address in _NAT64:
            return True  # what matters is the IPv4 address inside
        if address.is_site_local or address in _LOCAL_NAT64:
            return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_loopback or address.is_unspecified
    )
