"""What clients of several instances saw of rows whose version grows by one per change, and whether it can be true.

An operation takes effect at one moment between its start and its end. With versions that is easy to check: sorted by
version, no operation may begin after one with a higher version has ended.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from itertools import pairwise

import attrs


class Fate(Enum):
    """What a client knows of its write."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@attrs.frozen
class Read:
    """A value was seen at a version. Times are those of one clock."""

    key: str
    start: float
    end: float
    version: int
    value: str


@attrs.frozen
class Write:
    """A value that nobody else writes; `version` is known of a write that is DONE."""

    key: str
    start: float
    end: float
    value: str
    fate: Fate
    version: int = 0


Operation = Read | Write


@attrs.frozen
class Violation:
    """A promise that was broken, and what shows it."""

    key: str
    promise: str
    shown_by: tuple[Operation, ...]

    def __str__(self) -> str:
        return "\n    ".join([f"{self.key}: {self.promise}", *map(str, self.shown_by)])


def violations(operations: Iterable[Operation], last: dict[str, tuple[int, str]]) -> list[Violation]:
    """Return every promise that a history breaks; `last` says what the database holds in the end, by key."""
    by_key: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_key[operation.key].append(operation)
    return [found for key, history in by_key.items() for found in _of_key(key, history, last.get(key))]


def _of_key(key: str, history: list[Operation], last: tuple[int, str] | None) -> Iterator[Violation]:
    reads = [operation for operation in history if isinstance(operation, Read)]
    writes = [operation for operation in history if isinstance(operation, Write)]
    done = [write for write in writes if write.fate is Fate.DONE]
    yield from _order(key, [*reads, *done])
    yield from _lost_updates(key, done)
    yield from _values(key, reads, writes)
    yield from _last(key, done, writes, last)


def _order(key: str, known: Sequence[Operation]) -> Iterator[Violation]:
    """Nothing begins after a higher version was seen or acknowledged, and a write makes a new version."""
    ends = sorted(known, key=lambda operation: operation.end)
    newest: Operation | None = None
    at = 0
    for operation in sorted(known, key=lambda operation: operation.start):
        while at < len(ends) and ends[at].end < operation.start:
            if newest is None or _version(ends[at]) >= _version(newest):
                newest = ends[at]
            at += 1
        if newest is None:
            continue
        if _version(newest) > _version(operation):
            promise = "an acknowledged write was not seen" if isinstance(newest, Write) else "time went back"
            yield Violation(key, promise, (newest, operation))
        elif isinstance(operation, Write) and _version(newest) == _version(operation):
            yield Violation(key, "a version was seen before it was written", (newest, operation))


def _lost_updates(key: str, done: list[Write]) -> Iterator[Violation]:
    for one, other in pairwise(sorted(done, key=lambda write: write.version)):
        if one.version == other.version:
            yield Violation(key, "two writes were acknowledged at one version", (one, other))


def _values(key: str, reads: list[Read], writes: list[Write]) -> Iterator[Violation]:
    """One version has one value, that of its write, which began before it was seen; no refused one is ever seen."""
    by_value = {write.value: write for write in writes}
    by_version: dict[int, Operation] = {write.version: write for write in writes if write.fate is Fate.DONE}
    for read in reads:
        same = by_version.setdefault(read.version, read)
        if same.value != read.value:
            yield Violation(key, "one version had two values", (same, read))
        write = by_value.get(read.value)
        if write is None:
            continue
        if write.fate is Fate.REFUSED:
            yield Violation(key, "a refused write was seen", (write, read))
        if write.start > read.end:
            yield Violation(key, "a write was seen before it began", (write, read))


def _last(key: str, done: list[Write], writes: list[Write], last: tuple[int, str] | None) -> Iterator[Violation]:
    newest = max(done, key=lambda write: write.version, default=None)
    if newest is None:
        return
    if last is None or last[0] < newest.version or (last[0] == newest.version and last[1] != newest.value):
        yield Violation(key, f"an acknowledged write is lost: the database holds {last}", (newest,))
        return
    unknown = sum(write.fate is Fate.UNKNOWN for write in writes)
    if last[0] - 1 > len(done) + unknown:
        yield Violation(key, f"version {last[0]} after {len(done)} writes and {unknown} unknown ones", (newest,))


def _version(operation: Operation) -> int:
    return operation.version
