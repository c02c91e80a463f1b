"""What is true of API keys at an instant (platform.md 4)."""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from domain.keys.values import ApiKey, KeyStatus

WARNED_AHEAD: Final = timedelta(days=7)
FOR_EVER: Final = datetime(9999, 12, 31, tzinfo=UTC)


def status_of(key: ApiKey, now: datetime) -> KeyStatus:
    """Return what has become of a key."""
    if key.revoked_at is not None:
        return KeyStatus.REVOKED
    expired = key.expires_at is not None and now >= key.expires_at
    return KeyStatus.EXPIRED if expired else KeyStatus.ACTIVE


def works_until(key: ApiKey) -> datetime | None:
    """Return until when a key works unless it is revoked, None for a revoked one."""
    return None if key.revoked_at is not None else key.expires_at or FOR_EVER


def warns_at(key: ApiKey) -> datetime | None:
    """Return when the creator is to be told that the key expires; None for never or when that was done."""
    if key.revoked_at is not None or key.warned_at is not None or key.expires_at is None:
        return None
    return key.expires_at - WARNED_AHEAD if key.expires_at - key.created_at > WARNED_AHEAD else None


def opens(key: ApiKey, hashes: Iterable[str], now: datetime) -> bool:
    """Tell whether a secret of one of these hashes is the key's: the present one, or the one before in its grace."""
    known = set(hashes)
    if key.secret_hash in known:
        return True
    return key.previous_hash in known and key.previous_until is not None and now < key.previous_until


def network_of(text: str) -> str | None:
    """Return a CIDR block or address in its one normal form, None for anything else; mapped IPv4 is IPv4."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:
            network = ipaddress.ip_network((mapped, network.prefixlen - 96))
    return str(network.network_address if network.num_addresses == 1 else network)


def admits(key: ApiKey, address: str | None) -> bool:
    """Tell whether a key may be used from an address."""
    if not key.allowed_networks:
        return True
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return False
    networks = map(ipaddress.ip_network, key.allowed_networks)
    return any(parsed.version == network.version and parsed in network for network in networks)
