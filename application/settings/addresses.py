"""Kinds of configured values that name a place: addresses, URLs, networks, origins (platform.md 11)."""

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import SplitResult, parse_qs, urlsplit

import attrs

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_REDIS_OPTIONS = frozenset(
    {"db", "client_name", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*", re.ASCII)


@attrs.frozen
class Address:
    """An IP address or a host name to bind."""

    label: str = "address"
    bounds: str = ""

    def parse(self, text: str) -> str:
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            pass
        if len(text) > 253 or re.fullmatch(r"[\d.]+", text) or not _HOST_NAME.fullmatch(text):
            raise ValueError("is neither an IP address nor a host name")
        return text

    def show(self, value: str) -> str:
        return value


@attrs.frozen
class StoreUrl:
    """Where PostgreSQL or Redis is; may carry a user and a password, which are never shown."""

    schemes: tuple[str, ...]
    label: str = "URL"

    @property
    def bounds(self) -> str:
        return " ".join(f"`{scheme}://`" for scheme in self.schemes)

    def parse(self, text: str) -> str:
        parts = _split(text)
        if parts.scheme not in self.schemes or "://" not in text:
            raise ValueError(f"does not start with {' or '.join(f'{name}://' for name in self.schemes)}")
        _refuse_unescaped(parts)
        if "," not in parts.netloc:
            _port(parts)
        if not set(parse_qs(parts.query).get("sslmode", ())).issubset(_SSL_MODES):
            raise ValueError(f"has an sslmode that is not one of {', '.join(_SSL_MODES)}")
        if parts.scheme in ("redis", "rediss", "unix"):
            _refuse_unknown_to_redis(parts)
        return text

    def show(self, value: str) -> str:
        return without_user_info(value.partition("?")[0])


def _refuse_unescaped(parts: SplitResult) -> None:
    """Refuse what a driver would read otherwise than it was meant, and repeat in its messages with the password."""
    if "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("has an @ behind the host; write %40 there, and %2F %3F %23 for / ? # in a password")
    if parts.netloc.count("@") > 1:
        raise ValueError("has more than one @ before the host; write %40 for an @ in a password")
    if re.search(r"%(?![0-9A-Fa-f]{2})|%00", parts.netloc + parts.path + parts.query):
        raise ValueError("has a % that stands for no character; write %25 for a % in a password")
    if any(option.count("=") != 1 for option in parts.query.split("&") if option):
        raise ValueError("has an option that is not one name=value; write %3D for a = in a value")


@attrs.frozen
class PublicUrl:
    """An http or https address other people follow, kept without a closing slash."""

    label: str = "URL"
    bounds: str = "`http://` `https://`"

    def parse(self, text: str) -> str:
        parts = _split(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is not an http or https address with a host")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("has a user, query or fragment part")
        _port(parts)
        return text.rstrip("/")

    def show(self, value: str) -> str:
        return without_user_info(value)


@attrs.frozen
class Networks:
    label: str = "CIDR list"
    bounds: str = ""

    def parse(self, text: str) -> tuple[Network, ...]:
        try:
            return tuple(ipaddress.ip_network(entry) for entry in _entries(text))
        except ValueError:
            raise ValueError("has an entry that is not a network such as 10.0.0.0/8 or fd00::/8") from None

    def show(self, value: tuple[Network, ...]) -> str:
        return ",".join(map(str, value))


@attrs.frozen
class Origins:
    """Exact origins `scheme://host[:port]`, or `*`."""

    label: str = "origin list"
    bounds: str = ""

    def parse(self, text: str) -> tuple[str, ...]:
        return tuple(_origin(entry) for entry in _entries(text))

    def show(self, value: tuple[str, ...]) -> str:
        return ",".join(value)


def _refuse_unknown_to_redis(parts: SplitResult) -> None:
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError("names a database that is not a number, as in redis://host:6379/0")
    if unknown := set(parse_qs(parts.query, keep_blank_values=True)) - _REDIS_OPTIONS:
        raise ValueError(f"has the option {min(unknown)}, which is not one of {', '.join(sorted(_REDIS_OPTIONS))}")


def without_user_info(text: str) -> str:
    """Return `text` without what stands before the last `@` of an authority, however badly it is formed."""
    return re.sub(r"(?<=://).*@", "", text, flags=re.DOTALL)


def _split(text: str) -> SplitResult:
    if not text.isprintable() or " " in text:
        raise ValueError("is not a URL")
    try:
        return urlsplit(text)
    except ValueError:
        raise ValueError("is not a URL") from None


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        raise ValueError("has a port that is not a number up to 65535") from None


def _entries(text: str) -> Iterator[str]:
    return (entry.strip() for entry in text.split(",") if entry.strip())


def _origin(entry: str) -> str:
    if entry == "*":
        return entry
    parts = _split(entry)
    _port(parts)
    if not parts.scheme or not parts.hostname or entry != f"{parts.scheme}://{parts.netloc}" or "@" in entry:
        raise ValueError("has an entry that is not an origin such as https://app.example.org")
    return entry.lower()
