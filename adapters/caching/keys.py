"""Where a cell lies: the layout of cache keys (architecture.md 5).

    <prefix>:<schema>:<kind>:{<tag>}:<generation>:<id>      a cell
    <prefix>:<schema>:epoch:{<tag>}                         the epoch of all cells with that tag

The schema changes with the layout of what is stored, so that instances of two releases never read each other's
bytes. The generation changes when a writer had to write without the cache. The tag decides the slot in a Redis
cluster: an operation on the cells of one tag and its epoch stays on one node.
"""

import re
from collections.abc import Mapping
from zlib import crc32

import attrs
import msgspec

from domain.ports.schema import ACCOUNTS, CIRCUITS, EVENTS, FACETS, ITEMS, MEMBERSHIPS, SESSIONS, Key

_TAG = re.compile(r"\{([0-9a-f]+)\}")
EPOCH = "epoch"


@attrs.frozen
class KeySpace:
    """The keys of one deployment; `tags` is fixed for its life, 1 unless the servers form a cluster."""

    prefix: str = "defarm"
    schema: str = "1"
    tags: int = attrs.field(default=1, validator=attrs.validators.ge(1))

    def key(self, generation: int, kind: str, identity: str) -> str:
        """Return the key of one cell; no clear personal value may be in `identity`."""
        tag = crc32(identity.encode()) % self.tags
        return f"{self.prefix}:{self.schema}:{kind}:{{{tag:x}}}:{generation}:{identity}"

    def tag(self, key: str) -> str:
        """Return the tag of a key made here."""
        found = _TAG.search(key)
        if found is None:
            raise ValueError(f"not a key of this key space: {key!r}")
        return found[1]

    def all_tags(self) -> tuple[str, ...]:
        """Return every tag, in one fixed order."""
        return tuple(f"{tag:x}" for tag in range(self.tags))

    def epoch_key(self, tag: str) -> str:
        """Return the key under which the epoch of a tag stands."""
        return f"{self.prefix}:{self.schema}:{EPOCH}:{{{tag}}}"

    def schema_of(self, key: str) -> str | None:
        """Return the schema of any key that begins with the prefix; None when it is no key of a cache."""
        found = re.match(rf"{re.escape(self.prefix)}:(\w+):\w+:\{{", key)
        return found[1] if found else None

    def start(self, kind: str | None = None) -> str:
        """Return what every key of a kind begins with, every key of all kinds without one."""
        start = f"{self.prefix}:{self.schema}:"
        return start if kind is None else f"{start}{kind}:"

    def parts(self, key: str) -> "Parts":
        """Return what a key of a cell was made of; of another key of this space, what can be told."""
        kind, _, rest = key.removeprefix(self.start()).partition(":")
        _, _, rest = rest.partition(":")
        generation, _, whole = rest.partition(":")
        return Parts(kind, int(generation) if generation.isdecimal() else -1, whole.partition("\0")[0])


@attrs.frozen
class Parts:
    """Kind, generation, and the first member of the row's key; -1 and nothing for an epoch."""

    kind: str
    generation: int
    owner: str


KINDS: Mapping[str, str] = {
    ITEMS.name: "item",
    CIRCUITS.name: "circuit",
    MEMBERSHIPS.name: "membership",
    ACCOUNTS.name: "account",
    SESSIONS.name: "session",
    EVENTS.name: "event",
}
"""The kind of the cells of every facet that is cached. What is written is looked up here and nowhere else."""


def identity(key: Key) -> str:
    """Return the identity of a row in its cell's key; no stored text holds the separator."""
    return key if isinstance(key, str) else "\0".join(key)


def layout() -> str:
    """Return a tag of how the rows of cached facets are made up: another one for every other shape of them."""
    shapes = repr([msgspec.inspect.type_info(facet.value) for facet in FACETS if facet.name in KINDS])
    return f"{crc32(shapes.encode()):08x}"
