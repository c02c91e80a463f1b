"""The Merkle tree of the audit log: RFC 6962 over tiles, so that any proof reads a few rows (platform.md 6.4).

A tile holds up to 256 neighbouring hashes of one level; the hash at place i of level n is the root of the complete
subtree over leaves i * 256**n to (i + 1) * 256**n. Whatever is asked of a tree of any size is the fold of such hashes.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

Place = tuple[int, int]
"""Level and number of a tile."""
Tiles = Mapping[Place, Sequence[str]]
R = TypeVar("R")

WIDTH: Final = 256
_BITS: Final = 8
EMPTY_ROOT: Final = hashlib.sha256().hexdigest()


class TilesMissing(Exception):
    """The tiles that a computation needs, and that it was not given."""

    def __init__(self, places: frozenset[Place]) -> None:
        super().__init__(f"{len(places)} tiles are missing")
        self.places = places


def node(left: str, right: str) -> str:
    """Return the hash of an inner node: SHA-256(0x01, left, right)."""
    return hashlib.sha256(b"\x01" + bytes.fromhex(left) + bytes.fromhex(right)).hexdigest()


def edge(size: int) -> Iterator[tuple[Place, int]]:
    """Yield the unfinished tiles of a tree, from the leaves up, each with how many hashes it holds."""
    level = 0
    while size:
        if size % WIDTH:
            yield (level, size // WIDTH), size % WIDTH
        size //= WIDTH
        level += 1


def extended(size: int, unfinished: Tiles, leaves: Iterable[str]) -> dict[Place, tuple[str, ...]]:
    """Return every tile that changes when `leaves` follow a tree of `size`; `unfinished` holds those of `edge`."""
    tiles = {place: list(hashes) for place, hashes in unfinished.items()}
    for number, leaf in enumerate(leaves, size):
        level, place, value = 0, number, leaf
        while True:
            tile = tiles.setdefault((level, place // WIDTH), [])
            tile.append(value)
            if len(tile) < WIDTH:
                break
            level, place, value = level + 1, place // WIDTH, _folded(tile)
    return {
        place: tuple(hashes)
        for place, hashes in tiles.items()
        if place not in unfinished or hashes != [*unfinished[place]]
    }


def _folded(hashes: Sequence[str]) -> str:
    """Return the root of a power of two of hashes."""
    row = list(hashes)
    while len(row) > 1:
        row = [node(row[i], row[i + 1]) for i in range(0, len(row), 2)]
    return row[0]


class Tree:
    """A tree of `size` leaves over tiles. Everything raises TilesMissing for tiles that are not given."""

    def __init__(self, size: int, tiles: Tiles) -> None:
        self.size = size
        self._tiles = tiles

    def root(self) -> str:
        """Return the root hash; that of no leaves is the hash of nothing."""
        return self._range(0, self.size) if self.size else EMPTY_ROOT

    def inclusion(self, index: int) -> list[str]:
        """Return the path that proves that the leaf at `index` is in the tree (RFC 6962, 2.1.1)."""
        path: list[str] = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _half(end - start)
            beside = (middle, end) if index < middle else (start, middle)
            path.append(self._range(*beside))
            start, end = (start, middle) if index < middle else (middle, end)
        return path[::-1]

    def consistency(self, earlier: int) -> list[str]:
        """Return the path that proves that the tree of `earlier` leaves is a beginning of this one (2.1.2)."""
        if not 0 < earlier < self.size:
            return []
        path: list[str] = []
        start, end, whole = 0, self.size, True
        while earlier < end:
            middle = start + _half(end - start)
            if earlier <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        return ([] if whole else [self._range(start, end)]) + path[::-1]

    def _range(self, start: int, end: int) -> str:
        """Return the root over a range that begins at a multiple of the largest power of two within it."""
        parts: list[str] = []
        missing: set[Place] = set()
        while start < end:
            height = (end - start).bit_length() - 1
            try:
                parts.append(self._complete(height, start >> height))
            except TilesMissing as error:
                missing |= error.places
            start += 1 << height
        if missing:
            raise TilesMissing(frozenset(missing))
        value = parts.pop()
        while parts:
            value = node(parts.pop(), value)
        return value

    def _complete(self, height: int, number: int) -> str:
        """Return the root of the complete subtree of 2**height leaves with this number."""
        level, rest = divmod(height, _BITS)
        first = number << rest
        place = (level, first // WIDTH)
        if place not in self._tiles:
            raise TilesMissing(frozenset({place}))
        within = first % WIDTH
        return _folded(self._tiles[place][within : within + (1 << rest)])


class Growing:
    """A tree that grows leaf by leaf, of which only the unfinished tiles are kept."""

    def __init__(self) -> None:
        self.size = 0
        self._tiles: dict[Place, list[str]] = {}

    def add(self, leaf: str) -> None:
        """Append a leaf."""
        level, number, value = 0, self.size, leaf
        while True:
            tile = self._tiles.setdefault((level, number // WIDTH), [])
            tile.append(value)
            if len(tile) < WIDTH:
                break
            del self._tiles[level, number // WIDTH]
            level, number, value = level + 1, number // WIDTH, _folded(tile)
        self.size += 1

    def root(self) -> str:
        """Return the root hash."""
        return Tree(self.size, self._tiles).root()


def _half(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def tiles_for(size: int, ask: Callable[[Tree], R]) -> frozenset[Place]:
    """Return the tiles that a question to a tree of `size` needs."""
    needed: set[Place] = set()
    filler = ("00" * 32,) * WIDTH
    while True:
        try:
            ask(Tree(size, dict.fromkeys(needed, filler)))
        except TilesMissing as error:
            needed |= error.places
        else:
            return frozenset(needed)


def included(leaf: str, index: int, size: int, path: Sequence[str], root: str) -> bool:
    """Tell whether an inclusion path proves that `leaf` stands at `index` of the tree of that size and root."""
    if not 0 <= index < size:
        return False
    here, last, value = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return False
        if here % 2 or here == last:
            value = node(beside, value)
            while not here % 2 and here:
                here, last = here >> 1, last >> 1
        else:
            value = node(value, beside)
        here, last = here >> 1, last >> 1
    return last == 0 and value == root


def consistent(earlier: int, size: int, path: Sequence[str], before: str, root: str) -> bool:
    """Tell whether a consistency path proves that one tree, by size and root, is a beginning of another."""
    if earlier in (0, size):
        return not path and (earlier == 0 or before == root)
    if not path or earlier > size:
        return False
    steps = list(path)
    if earlier & (earlier - 1) == 0:
        steps = [before, *steps]
    here, last = earlier - 1, size - 1
    while here % 2:
        here, last = here >> 1, last >> 1
    old = new = steps[0]
    for beside in steps[1:]:
        if last == 0:
            return False
        if here % 2 or here == last:
            old, new = node(beside, old), node(beside, new)
            while not here % 2 and here:
                here, last = here >> 1, last >> 1
        else:
            new = node(new, beside)
        here, last = here >> 1, last >> 1
    return last == 0 and (old, new) == (before, root)
