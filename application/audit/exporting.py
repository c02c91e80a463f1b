"""Taking entries out of the store, and checking what was taken out (platform.md 6.5)."""

import csv
import hashlib
import io
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

import attrs
import msgspec

from application.audit.requests import AuditFilter, ExportFormat
from application.audit.service import Audit
from domain.access.principal import Principal
from domain.audit.log import Checkpoint
from domain.audit.merkle import EMPTY_ROOT, Growing
from domain.audit.record import entry_hash, personal_digest
from domain.audit.sequencing import newest
from domain.audit.values import AuditEntry
from domain.canonical import canonical
from domain.document import Document
from domain.instants import parse_instant, wire
from domain.ports.queries import Between, Select
from domain.ports.schema import AUDIT
from domain.ports.storage import Storage
from domain.ports.walking import pages

READ: Final = 500
COLUMNS: Final = (
    "log_index", "entry_id", "at", "actor_kind", "actor_user_id", "actor_key_id", "actor_session_id",
    "actor_workspace_id", "action", "resource_kind", "resource_id", "circuit_id", "workspace_id", "outcome",
    "severity", "reason", "count", "trace_id", "details", "address", "user_agent", "submitted_name",
    "personal_digest", "entry_hash",
)  # fmt: skip
_FORMULA: Final = re.compile(r"'*[=+\-@]")
_ACTOR: Final = ("kind", "user_id", "key_id", "session_id", "workspace_id")
_PERSONAL: Final = ("address", "user_agent", "submitted_name")


@attrs.frozen
class Verdict:
    """What a verification found; `first_bad_index` is the first place of the log that does not hold."""

    valid: bool
    entries: int
    checkpoints: int = 0
    first_bad_index: int | None = None
    fault: str | None = None


async def export(audit: Audit, principal: Principal, wanted: AuditFilter, form: ExportFormat) -> AsyncIterator[bytes]:
    """Audit the export and return it as bytes, to be read as they come. Raises Refusal `admin_required`."""
    audit.require_admin(principal)
    await audit.record(principal, "audit.exported", wanted)
    return exported(audit.units.storage, wanted, form)


async def exported(storage: Storage, wanted: AuditFilter, form: ExportFormat) -> AsyncIterator[bytes]:
    """Yield entries in the order of the log, up to its size at the beginning, and the line that completes them."""
    digest, count = hashlib.sha256(), 0
    async with storage.read() as reader:
        head = await newest(reader)
        header = _csv(COLUMNS) if form is ExportFormat.CSV else b""
        digest.update(header)
        if header:
            yield header
        sealed = Between(0, 0 if head is None else head.tree_size)
        query = Select({**wanted.where, "log_index": sealed}, ("log_index", "at"))
        async for entries in pages(reader, AUDIT, query, size=READ):
            chunk = b"".join(map(_row if form is ExportFormat.CSV else _line, entries))
            digest.update(chunk)
            count += len(entries)
            yield chunk
    yield _trailer(form, count, digest.hexdigest(), head)


def _line(entry: AuditEntry) -> bytes:
    """Return an entry in canonical form, so that every store exports the same bytes."""
    members = {name: value for name, value in attrs.asdict(entry, recurse=False).items() if name not in _KEPT_BACK}
    return canonical(members | {"at": wire(entry.at)}) + b"\n"


_KEPT_BACK: Final = ("version",)


def _row(entry: AuditEntry) -> bytes:
    personal = entry.personal or Document()
    return _csv(
        [
            entry.log_index,
            entry.entry_id,
            wire(entry.at),
            *(entry.actor.get(name) for name in _ACTOR),
            entry.action,
            entry.resource.get("kind"),
            entry.resource.get("id"),
            entry.circuit_id,
            entry.workspace_id,
            entry.outcome,
            entry.severity,
            entry.reason,
            entry.count,
            entry.trace_id,
            canonical(entry.details).decode(),
            *(personal.get(name) for name in _PERSONAL),
            entry.personal_digest,
            entry.entry_hash,
        ]
    )


def _csv(cells: Iterable[Any]) -> bytes:
    """Return one row. A cell that a spreadsheet would calculate is disarmed by an apostrophe."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    file = io.StringIO()
    csv.writer(file).writerow(["'" + text if _FORMULA.match(text) else text for text in texts])
    return file.getvalue().encode()


def _trailer(form: ExportFormat, count: int, sha256: str, head: Checkpoint | None) -> bytes:
    end = {
        "count": count,
        "sha256": sha256,
        "tree_size": 0 if head is None else head.tree_size,
        "root_hash": EMPTY_ROOT if head is None else head.root_hash,
    }
    if form is ExportFormat.CSV:
        return _csv(["end", *(f"{name}={value}" for name, value in end.items())])
    return msgspec.json.encode(end) + b"\n"


def empty_export() -> str:
    """Return what an export of an empty log is as a spreadsheet."""
    head = _csv(COLUMNS)
    return (head + _trailer(ExportFormat.CSV, 0, hashlib.sha256(head).hexdigest(), None)).decode()


def verify_export(lines: Callable[[], Iterable[bytes]]) -> Verdict:
    """Check an export in JSON lines without a store: every entry, the whole, and the root if all entries are there.

    `lines` is called twice, each time for all lines of the export with their ends.
    """
    digest, count, last = hashlib.sha256(), 0, b""
    for count, line in enumerate(lines()):  # noqa: B007 -- the number of the last one is the number of entries
        digest.update(last)
        last = line
    end = _end(last)
    tree, above = Growing(), -1
    whole = end is not None and end["tree_size"] == count
    for line in islice(lines(), count):
        leaf, index = _leaf(line)
        if leaf is None or index <= above or (whole and index != tree.size):
            bad = tree.size if whole else index
            return Verdict(False, tree.size, first_bad_index=bad, fault="an entry is not the one that was sealed")
        tree.add(leaf)
        above = index
    if end is None:
        return Verdict(False, count, fault="the line that completes the export is missing")
    if (end["count"], end["sha256"]) != (count, digest.hexdigest()):
        return Verdict(False, count, fault="entries are missing, or are not those that were exported")
    if whole and tree.root() != end["root_hash"]:
        return Verdict(False, count, fault="the entries do not make the root of the log")
    return Verdict(True, count)


def _end(line: bytes | None) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(line or b"")
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) and {"count", "sha256", "tree_size", "root_hash"} <= found.keys() else None


def _leaf(line: bytes) -> tuple[str | None, int]:
    """Return the hash of an entry if it is the one it should have, and its place in the log as far as it is told."""
    try:
        entry = _entry(msgspec.json.decode(line))
        sound = holds(entry) and _line(entry) == line
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError, ValueError):
        sound = False
    return (entry.entry_hash if sound else None), _index(line)


def holds(entry: AuditEntry) -> bool:
    """Tell whether an entry has its hash, and what is personal in it, if it is still there, its digest."""
    if entry_hash(entry) != entry.entry_hash:
        return False
    if entry.personal is None or entry.personal_salt is None:
        return entry.personal is None
    return personal_digest(bytes.fromhex(entry.personal_salt), entry.personal) == entry.personal_digest


def _index(line: bytes) -> int:
    found = re.search(rb'"log_index":(\d+)', line)
    return int(found[1]) if found else -1


def _entry(members: dict[str, Any]) -> AuditEntry:
    at = parse_instant(members["at"])
    if at is None:
        raise ValueError("no instant")
    known: dict[str, Any] = {field.name: members[field.name] for field in _exported_fields()}
    documents = {name: Document(known[name]) for name in ("actor", "resource", "details")}
    if known["personal"] is not None:
        documents["personal"] = Document(known["personal"])
    return AuditEntry(**(known | documents | {"at": at}))


def _exported_fields() -> Iterator[Any]:
    for field in attrs.fields(AuditEntry):
        if field.name not in _KEPT_BACK:
            yield field
