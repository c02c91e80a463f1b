"""A chain as a file: one canonical line per visible event, which can be checked without any store (10.6).

A line holds what the hash of its event covers, the payload with its salt, and the hash; nothing else, so that every
byte is either hashed or computed.
"""

import json
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import attrs

from domain.canonical import canonical, digest
from domain.events.chain import ALGORITHM, HASHED, NO_HASH, hashed_members, payload_hash
from domain.events.values import Event

LONGEST_LINE = 1 << 20
_EXACT_DIGITS = 16
"""The longest integer within 2**53 has so many digits."""

_BESIDE = ("payload", "salt", "hash")


class ExportFault(StrEnum):
    """What can be wrong with a file. Only `missing` and `head` are judged by what the caller knows besides."""

    EMPTY = "empty"
    FORM = "form"
    ITEM = "item"
    ORDER = "order"
    PAYLOAD = "payload"
    LINK = "link"
    HASH = "hash"
    MISSING = "missing"
    HEAD = "head"


@attrs.frozen
class LineFault:
    """What is wrong with a line; `line` counts from 1, and is 0 for the file as a whole."""

    line: int
    position: int | None
    fault: ExportFault
    detail: str


@attrs.frozen
class ExportReport:
    """What a file proves. `missing` are ranges of positions that it leaves out, links over which it cannot show."""

    dfid: str | None
    events: int
    last_position: int
    head_hash: str | None
    missing: tuple[tuple[int, int], ...]
    erased: tuple[int, ...]
    faults: tuple[LineFault, ...]

    @property
    def valid(self) -> bool:
        return not self.faults


def export_line(event: Event) -> bytes:
    """Return the line of an event, with its end."""
    return canonical({**hashed_members(event), **{name: getattr(event, name) for name in _BESIDE}}) + b"\n"


def check_export(lines: Iterable[bytes], head_hash: str | None = None, *, complete: bool = False) -> ExportReport:
    """Recompute everything that a file of export lines shows.

    With `head_hash` the file must end with the event of that hash; with `complete` it must leave out none before.
    """
    check = _Check()
    for number, line in enumerate(lines, start=1):
        check.take(number, line)
    return check.report(head_hash, complete=complete)


@attrs.define
class _Check:
    """A file as far as it was read."""

    dfid: str | None = None
    events: int = 0
    position: int = 0
    hash: str = NO_HASH
    recorded_at: str = ""
    missing: list[tuple[int, int]] = attrs.field(factory=list)
    erased: list[int] = attrs.field(factory=list)
    faults: list[LineFault] = attrs.field(factory=list)

    def take(self, number: int, line: bytes) -> None:
        members = _read(line)
        if members is None:
            self._fault(number, None, ExportFault.FORM, "This is no line of an export, or not as it was exported.")
            return
        position = members["position"]
        if self.dfid is None:
            self.dfid = members["dfid"]
        elif members["dfid"] != self.dfid:
            self._fault(number, position, ExportFault.ITEM, f"The event is of {members['dfid']}, not of {self.dfid}.")
        self._check_order(number, members)
        self._check_content(number, members)
        self.events += 1
        self.position, self.hash, self.recorded_at = position, members["hash"], members["recorded_at"]

    def _check_order(self, number: int, members: dict[str, Any]) -> None:
        position = members["position"]
        if position <= self.position or members["recorded_at"] <= self.recorded_at:
            self._fault(number, position, ExportFault.ORDER, "The event does not come after the one before it.")
        elif position > self.position + 1:
            self.missing.append((self.position + 1, position - 1))
        elif members["prev_hash"] != self.hash:
            self._fault(number, position, ExportFault.LINK, "The event does not continue the one before it.")

    def _check_content(self, number: int, members: dict[str, Any]) -> None:
        position, payload, salt = members["position"], members["payload"], members["salt"]
        if payload is None and salt is None:
            self.erased.append(position)
        elif payload_hash(salt, payload) != members["payload_hash"]:
            self._fault(number, position, ExportFault.PAYLOAD, "The payload is not the one that was recorded.")
        covered = {name: value for name, value in members.items() if name not in _BESIDE}
        if digest(covered) != members["hash"]:
            self._fault(number, position, ExportFault.HASH, "What the hash covers is not what was recorded.")

    def _fault(self, line: int, position: int | None, fault: ExportFault, detail: str) -> None:
        self.faults.append(LineFault(line, position, fault, detail))

    def report(self, head_hash: str | None, *, complete: bool) -> ExportReport:
        if not self.events and not self.faults:
            self._fault(0, None, ExportFault.EMPTY, "There is no event in the file.")
        if head_hash is not None and head_hash != self.hash:
            self._fault(0, self.position, ExportFault.HEAD, "The file does not end with the event that was named.")
        if complete and self.missing:
            self._fault(0, None, ExportFault.MISSING, "Positions are left out.")
        return ExportReport(
            dfid=self.dfid,
            events=self.events,
            last_position=self.position,
            head_hash=self.hash if self.events else None,
            missing=tuple(self.missing),
            erased=tuple(self.erased),
            faults=tuple(self.faults),
        )


def _read(line: bytes) -> dict[str, Any] | None:
    """Return the members of a line, None for anything that no export holds, byte for byte."""
    try:
        members = json.loads(line, parse_int=_number)
        written = canonical(members) + b"\n"
    except (ValueError, RecursionError):
        return None
    if written != line or not isinstance(members, dict) or members.keys() != _MEMBERS or members["v"] != ALGORITHM:
        return None
    texts = all(isinstance(members[name], str) for name in ("dfid", "recorded_at", "prev_hash", "hash"))
    return members if texts and type(members["position"]) is int else None


def _number(text: str) -> int | float:
    """Read what stands without fraction or exponent; beyond 2**53 canonical JSON writes floats like that."""
    return int(text) if len(text) <= _EXACT_DIGITS else float(text)


_MEMBERS = {"v", *HASHED, *_BESIDE}
