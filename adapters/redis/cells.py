"""The bytes of a cell in Redis, shared with the Lua scripts beside this module.

V <epoch> <version> <bytes>                            value
L <epoch> <token>                                      lease
M <epoch or -> <version> <token>=<deadline>,...        mark, deadlines in microseconds since 1970
E <name> <run>   Q <note> <run>                        epoch key: open, or in quarantine
"""

from datetime import UTC, datetime, timedelta

from domain.ports.cache import Absent, Cell, Lease, Mark, Value, Writer

_START = datetime(1970, 1, 1, tzinfo=UTC)
_NO_EPOCH = "-"

MET = 256
"""Values that are remembered by their keys."""


def deadline_text(deadline: datetime) -> str:
    """Return an instant as microseconds since 1970."""
    return str((deadline - _START) // timedelta(microseconds=1))


class Decoder:
    """Decodes cells. A value that was met last under its key with the same bytes is the very same value again, so
    that what was made of it is found without another hash of its bytes."""

    def __init__(self) -> None:
        self._met: dict[str, tuple[bytes, bytes, Value]] = {}

    def decode(self, key: str, raw: bytes | None, epoch: bytes | None) -> Cell:
        """Return the cell under a key, as the function of this name does."""
        met = self._met.get(key)
        if met is not None and raw is not None:
            written, head, value = met
            if written == epoch and raw.startswith(head) and raw[len(head) :] == value.data:
                return value
        cell = decode(raw, epoch)
        if raw is not None and epoch is not None and isinstance(cell, Value):
            self._met.pop(key, None)
            if len(self._met) >= MET:
                del self._met[next(iter(self._met))]
            self._met[key] = epoch, raw[: len(raw) - len(cell.data)], cell
        return cell


def decode(raw: bytes | None, epoch: bytes | None) -> Cell:
    """Return the cell, where values and leases of another epoch than `epoch` count as absent."""
    if raw is None:
        return Absent()
    if raw.startswith(b"M "):
        return _mark(raw)
    kind, written, rest = raw.split(b" ", 2)
    if epoch is None or written != epoch:
        return Absent()
    if kind == b"L":
        return Lease(rest.decode())
    version, _, data = rest.partition(b" ")
    return Value(int(version), data)


def encode_mark(mark: Mark) -> bytes:
    """Return the very bytes `decode` read this mark from."""
    writers = ",".join(f"{writer.token}={deadline_text(writer.deadline)}" for writer in mark.writers)
    return f"M {mark.epoch or _NO_EPOCH} {mark.version} {writers}".encode()


def open_epoch(raw: bytes | None, run: bytes) -> bytes | None:
    """Return the name of the epoch that is open on this run of the server, if one is."""
    kind, name, written = split_epoch(raw)
    return name if kind == b"E" and written == run else None


def split_epoch(raw: bytes | None) -> tuple[bytes, bytes, bytes]:
    """Return kind, name and run of an epoch key; three times nothing when there is none."""
    parts = (raw or b"").split(b" ")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (b"", b"", b"")


def _mark(raw: bytes) -> Mark:
    _, epoch, version, writers = raw.decode().split(" ")
    return Mark(
        epoch=None if epoch == _NO_EPOCH else epoch,
        version=int(version),
        writers=tuple(_writer(text) for text in writers.split(",")),
    )


def _writer(text: str) -> Writer:
    token, _, deadline = text.partition("=")
    return Writer(token, _START + timedelta(microseconds=int(deadline)))
