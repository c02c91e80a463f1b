"""Connections to a Redis cluster, bound to one life of it: the same slots on the same runs of the same servers.

A hash tag lies on one node, and so do its epoch and its cells; a step over several tags is one exchange per node.
Whatever changes who holds what (a node that restarts, a replica that is promoted, a slot that moves) makes another
run of the whole, which the keeper of the rights treats like the restart of a single server.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import sha1
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import attrs
from redis.crc import key_slot

from adapters.redis.breaker import PROBE_INTERVAL
from adapters.redis.link import TIMEOUT, Commands, RedisLink, Scripts
from adapters.redis.wire import Command
from domain.ports.cache import CacheUnavailable

SLOTS = 16384
TAGS = 16
"""Hash tags of a key space in a cluster: every deployment of a release uses the same number."""


@attrs.frozen
class Topology:
    """Which node, by its address, holds which slots, and the run that all of them together make."""

    owners: Sequence[str | None]
    run: bytes


class ClusterLink:
    """Exchanges commands and answers with the nodes that hold their keys."""

    def __init__(
        self, url: str, scripts: Scripts, timeout: float = TIMEOUT, probe_interval: float = PROBE_INTERVAL
    ) -> None:
        """`url` is that of any node; the others are asked for, and reached with the same credentials."""
        self._url: SplitResult = urlsplit(url)
        self._make: Callable[[str], RedisLink] = lambda node: RedisLink(node, scripts, timeout, probe_interval)
        self._nodes: dict[str, RedisLink] = {self._url.netloc.rpartition("@")[2]: self._make(url)}
        self._topology: Topology | None = None
        self._finding = asyncio.Lock()
        self._bound: bytes | None = None

    @property
    def failures(self) -> int:
        return sum(node.failures for node in self._nodes.values())

    @property
    def open_since(self) -> datetime | None:
        """Since when a node that is needed is given up."""
        return min((node.open_since for node in self._nodes.values() if node.open_since), default=None)

    def bind(self, run: bytes) -> None:
        """Reach the cluster in no other run from now on."""
        self._bound = run

    async def exchange(self, commands: Commands, *, any_run: bool = False) -> tuple[bytes, list[Any]]:
        """Send each command to the node of its key; return the run of the cluster and the answers in order.

        With `any_run` nothing is sent but a question to every node who it is. Raises `CacheUnavailable` when any
        node that is needed does not answer, holds the key no more, or is another run than it was.
        """
        if any_run:
            topology = await self._found()
            return topology.run, []
        topology = self._topology or await self._found()
        if self._bound not in (None, topology.run):
            raise CacheUnavailable("another run of the cluster")
        try:
            return topology.run, await self._spread(topology, commands(topology.run))
        except CacheUnavailable:
            self._topology = None
            raise

    async def links(self) -> list[RedisLink]:
        """Return the links to all nodes that hold slots."""
        owners = (self._topology or await self._found()).owners
        return [self._nodes[owner] for owner in dict.fromkeys(owners) if owner is not None]

    async def aclose(self) -> None:
        """Close every connection; later exchanges are refused."""
        await asyncio.gather(*(node.aclose() for node in self._nodes.values()))

    async def _spread(self, topology: Topology, commands: Sequence[Command]) -> list[Any]:
        places: dict[str, list[int]] = defaultdict(list)
        for at, command in enumerate(commands):
            owner = topology.owners[key_slot(_key(command))]
            if owner is None:
                raise CacheUnavailable("nobody holds a slot")
            places[owner].append(at)
        results = await asyncio.gather(
            *(self._sent(owner, [commands[at] for at in ats]) for owner, ats in places.items()), return_exceptions=True
        )
        answers: list[Any] = [None] * len(commands)
        for ats, result in zip(places.values(), results, strict=True):
            if isinstance(result, BaseException):
                raise result
            for at, answer in zip(ats, result, strict=True):
                answers[at] = answer
        return answers

    async def _sent(self, owner: str, commands: Sequence[Command]) -> list[Any]:
        return (await self._nodes[owner].exchange(lambda _: commands))[1]

    async def _found(self) -> Topology:
        """Ask who holds what, and each holder which run of its server it is."""
        async with self._finding:
            owners = await self._owners()
            nodes = sorted({owner for owner in owners if owner is not None})
            runs = await asyncio.gather(*(self._run(node) for node in nodes))
            held = "".join(f"{owner} " for owner in owners)
            told = " ".join([held, *(run.decode() for run in runs)])
            for node, run in zip(nodes, runs, strict=True):
                self._nodes[node].bind(run)
            self._topology = Topology(owners, sha1(told.encode(), usedforsecurity=False).hexdigest().encode())
            return self._topology

    async def _run(self, node: str) -> bytes:
        return (await self._nodes[node].exchange(lambda _: [("PING",)], any_run=True))[0]

    async def _owners(self) -> Sequence[str | None]:
        """Return the address of the holder of every slot. The first node that tells is believed."""
        reason = "no node answers"
        for node, link in list(self._nodes.items()):
            try:
                _, (ranges,) = await link.exchange(lambda _: [("CLUSTER", "SLOTS")], any_run=True)
            except CacheUnavailable as error:
                reason = error.reason
                continue
            owners: list[str | None] = [None] * SLOTS
            for first, last, (host, port, *_), *_ in ranges:
                address = self._known(host.decode() if host else "", int(port), node)
                owners[first : last + 1] = [address] * (last + 1 - first)
            return owners
        raise CacheUnavailable(reason)

    def _known(self, host: str, port: int, teller: str) -> str:
        """Return the address of a node, its link made if it is new. A node that does not know its host tells none."""
        address = f"{f'[{host}]' if ':' in host else host or urlsplit(f'//{teller}').hostname}:{port}"
        if address not in self._nodes:
            user, at, _ = self._url.netloc.rpartition("@")
            self._nodes[address] = self._make(urlunsplit(self._url._replace(netloc=f"{user}{at}{address}")))
        return address


def _key(command: Command) -> bytes:
    """Return the key that decides where a command goes: all of one command lie in one slot."""
    key = command[3] if command[0] == "EVALSHA" else command[1]
    return key if isinstance(key, bytes) else str(key).encode()
