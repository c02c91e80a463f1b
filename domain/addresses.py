"""Client addresses as limits count them."""

import ipaddress


def counted_address(address: str | None) -> str:
    """Return what an address is counted as: the IPv4 address, the IPv6 /64 (platform.md 1.5)."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
