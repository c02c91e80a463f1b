"""What each column of a CSV file is (items-events.md 6.3)."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from domain.document import Document
from domain.errors import Fault, Invalid
from domain.identifiers import IdentifierKind, IdentifierScope, canonical_key, type_of
from domain.items.data_rules import escaped
from domain.items.submission import IdentifierInput, Submission

TYPES = ("text", "number", "boolean", "date")
_TRUE = frozenset({"true", "yes", "1", "sim", "s", "verdadeiro"})
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?")
_FALSE = frozenset({"false", "no", "0", "nao", "não", "n", "falso"})


@attrs.frozen
class IdentifierColumn:
    """A column whose cells are identifiers of one key."""

    key: str
    namespace: str | None = None
    kind: IdentifierKind | None = None
    scope: IdentifierScope | None = None


@attrs.frozen
class DataColumn:
    """A column whose cells are values of one data key; nothing is guessed, so text is the default."""

    name: str
    type: str = "text"


@attrs.frozen
class IgnoredColumn:
    """A column that is left out."""


Column = IdentifierColumn | DataColumn | IgnoredColumn
ColumnMapping = Mapping[str, Column]


def column_of(header: str) -> Column:
    """Return what a header without a mapping says of its column."""
    text = header.strip()
    form, colon, named = text.partition(":")
    if colon and form.strip().lower() == "id":
        namespace, slash, key = map(_folded, named.rpartition("/"))
        return IdentifierColumn(key, namespace if slash else None)
    if text.startswith("data:"):
        return DataColumn(text[5:])
    folded = canonical_key(_folded(text))
    return IdentifierColumn(folded) if type_of(folded) is not None else DataColumn(text)


def _folded(text: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "_".join(plain.lower().split())


def mapping_from_document(document: Mapping[str, Any]) -> ColumnMapping:
    """Return the mapping of a request: `{"columns": {header: {...}}}`. Raises Invalid."""
    columns = document.get("columns")
    if set(document) != {"columns"} or not isinstance(columns, Mapping):
        raise Invalid([Fault("required", 'A mapping is {"columns": {header: …}}.', pointer="/columns")])
    faults: list[Fault] = []
    found: dict[str, Column] = {}
    for header, given in columns.items():
        column = _column_from(given)
        if column is None:
            hint = "One of identifier, data or ignore."
            faults.append(Fault("not_allowed", hint, pointer=f"/columns/{escaped(header)}"))
        else:
            found[header.strip()] = column
    if faults:
        raise Invalid(faults)
    return found


def _column_from(given: Any) -> Column | None:
    match given:
        case {"ignore": True} if len(given) == 1:
            return IgnoredColumn()
        case {"data": str(name)} if set(given) <= {"data", "type"} and given.get("type", "text") in TYPES:
            return DataColumn(name, given.get("type", "text"))
        case {"identifier": {"key": str(key), **rest}} if len(given) == 1:
            return _identifier_column(key, rest)
        case _:
            return None


def _identifier_column(key: str, rest: Mapping[Any, Any]) -> Column | None:
    if not set(rest) <= {"namespace", "kind", "scope"}:
        return None
    try:
        kind = IdentifierKind(rest["kind"]) if rest.get("kind") is not None else None
        scope = IdentifierScope(rest["scope"]) if rest.get("scope") is not None else None
    except ValueError:
        return None
    namespace = rest.get("namespace")
    return IdentifierColumn(key, namespace, kind, scope) if namespace is None or isinstance(namespace, str) else None


def mapping_from_options(options: Iterable[str]) -> ColumnMapping:
    """Return the mapping of `COLUMN=FIELD` texts; FIELD is `id:KEY`, `id:NAMESPACE/KEY`, `data:NAME[:TYPE]` or
    `ignore`. Raises ValueError with what is wrong."""
    return dict(map(_option, options))


def _option(text: str) -> tuple[str, Column]:
    header, equals, field = text.rpartition("=")
    if not equals or not header.strip():
        raise ValueError(f"{text!r} is not COLUMN=FIELD")
    if field == "ignore":
        return header.strip(), IgnoredColumn()
    if field.startswith("data:"):
        name, _, kind = field[5:].partition(":")
        if (kind or "text") not in TYPES:
            raise ValueError(f"{text!r}: a type is one of {', '.join(TYPES)}")
        return header.strip(), DataColumn(name, kind or "text")
    if field.startswith("id:"):
        return header.strip(), column_of(field)
    raise ValueError(f"{text!r}: a field is id:KEY, id:NAMESPACE/KEY, data:NAME, data:NAME:TYPE or ignore")


@attrs.frozen
class Row:
    """One row of a file: a submission, or what is wrong with it. `columns` names the header behind a pointer."""

    line: int
    submission: Submission | None
    faults: tuple[Fault, ...] = ()
    columns: Mapping[str, str] = attrs.field(factory=dict)


def row_of(headers: list[str], columns: list[Column], cells: list[str], line: int, decimal: str) -> Row:
    """Return the row of these cells; an empty cell is absent, not null."""
    if len(cells) != len(headers):
        detail = f"{len(cells)} cells under {len(headers)} headers."
        return Row(line, None, (Fault("too_many" if len(cells) > len(headers) else "too_few", detail, pointer=""),))
    identifiers: list[IdentifierInput] = []
    data: dict[str, Any] = {}
    faults: list[Fault] = []
    behind: dict[str, str] = {}
    for header, column, cell in zip(headers, columns, map(str.strip, cells), strict=True):
        if not cell:
            continue
        match column:
            case IdentifierColumn(key, namespace, kind, scope):
                behind[f"/identifiers/{len(identifiers)}"] = header
                identifiers.append(IdentifierInput(key, cell, namespace, kind, scope))
            case DataColumn(name, kind):
                pointer = f"/data/{escaped(name)}"
                behind[pointer] = header
                try:
                    data[name] = _typed(cell, kind, decimal)
                except ValueError:
                    faults.append(Fault("format", f"This is no {kind}.", pointer=pointer))
    return Row(line, Submission(tuple(identifiers), Document(data)), tuple(faults), behind)


def _typed(cell: str, kind: str, decimal: str) -> Any:
    if kind == "number":
        return _number(cell, decimal)
    if kind == "boolean":
        folded = cell.lower()
        if folded not in _TRUE | _FALSE:
            raise ValueError(cell)
        return folded in _TRUE
    return datetime.fromisoformat(cell).date().isoformat() if kind == "date" else cell


def _number(cell: str, decimal: str) -> int | float:
    if decimal == "," and "." in cell and not _GROUPED.fullmatch(cell):
        raise ValueError(cell)
    text = cell if decimal == "." else cell.replace(".", "").replace(",", ".")
    if not text.isascii() or "_" in text or text.lower().lstrip("+-") in {"inf", "infinity", "nan"}:
        raise ValueError(cell)
    return int(text) if text.lstrip("+-").isdigit() else float(text)
