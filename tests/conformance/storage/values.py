"""Values of every facet: any shape that its annotations allow, and a few plain ones."""

import types
import typing
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any

import attrs
from hypothesis import strategies as st

from domain.access.vocabulary import ItemStatus
from domain.accounts.values import Workspace
from domain.audit.values import AuditEntry
from domain.document import Document
from domain.ids import new_id
from domain.items.values import Item, Mapping, Share
from domain.notifications.values import Notification
from domain.ports.schema import Facet

NOW = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["\\N", "\\.", "a\tb", "a\nb\r", "ção 🐄", "\ufeff", '"quoted"', "'", "%s", "\U0010ffff", " "]
)
instants = st.datetimes(datetime(1900, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))
numbers = st.integers(0, 2**53 - 1)
reals = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | reals | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
READ = {"actor": ("user_id", "key_id"), "resource": ("kind", "id")}
"""Members of documents that columns of the audit are made of (platform.md 6.1)."""
# Hypothesis takes these names from the code of loaded modules anyhow, so rarely that nobody would see it on purpose.
names = texts | st.sampled_from([name for known in READ.values() for name in known])
documents = st.dictionaries(names, json_values, max_size=4).map(Document)

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    bool: st.booleans(),
    int: numbers,
    float: reals,
    bytes: st.binary(max_size=20),
    datetime: instants,
    Document: documents,
    type(None): st.none(),
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Return every shape that an annotation allows."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of_type, args))
    if origin is tuple:
        if args[-1] is Ellipsis:
            return st.lists(of_type(args[0]), max_size=2).map(tuple)
        return st.tuples(*map(of_type, args))
    if origin is frozenset:
        return st.frozensets(of_type(args[0]), max_size=4)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    return instances(kind)


@cache
def instances(kind: type) -> st.SearchStrategy[Any]:
    """Return every shape of an attrs class."""
    hints = typing.get_type_hints(kind)
    members = {each.name: of_type(hints[each.name]) for each in attrs.fields(kind)}  # type: ignore[arg-type]
    if kind is Item:
        return st.builds(_item, st.booleans(), **members)
    if kind is AuditEntry:
        members |= {member: _naming(*known) for member, known in READ.items()}
    return st.builds(kind, **members)


def _item(draft: bool, /, **members: Any) -> Item:
    """Give an item at least one of its two ids, a DFID that looks like one."""
    if draft or members["dfid"] is None:
        return Item(**members | {"dfid": None, "local_id": f"LID-{members['local_id']}"})
    return Item(**members | {"dfid": f"DFID-{members['dfid']}"})


def _naming(*known: str) -> st.SearchStrategy[Document]:
    """Return documents in which these members are texts, if they are there: what else they were no column could be."""
    told = st.fixed_dictionaries({}, optional=dict.fromkeys(known, st.none() | texts))
    others = documents.map(lambda free: {name: value for name, value in free.items() if name not in known})
    return st.builds(lambda *parts: Document(parts[0] | parts[1]), others, told)


def rows(facet: Facet[Any], *, most: int = 4) -> st.SearchStrategy[list[Any]]:
    """Return rows of a facet that can be in it together, at version 1."""

    def first(value: Any) -> Any:
        return attrs.evolve(value, version=1) if facet.versioned else value

    def held(columns: tuple[str, ...]) -> Any:
        def of(value: Any) -> Any:
            found = tuple(facet.columns[name](value) for name in columns)
            return object() if None in found else found

        return of

    return st.lists(
        instances(facet.value).map(first),
        min_size=1,
        max_size=most,
        unique_by=tuple(held(columns) for columns in (facet.key, *facet.unique)),
    )


def same(left: Any, right: Any) -> bool:
    """Tell whether two values are equal down to their types, so that nothing thawed or turned on the way."""
    if type(left) is not type(right):
        return False
    if attrs.has(type(left)):
        return all(same(getattr(left, each.name), getattr(right, each.name)) for each in attrs.fields(type(left)))
    if isinstance(left, Document):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, datetime):
        return bool(left == right and right.utcoffset() == timedelta(0))
    return repr(left) == repr(right) if isinstance(left, float) else bool(left == right)


def workspace(name: str | None = None, key: str | None = None, version: int = 1) -> Workspace:
    key = key or new_id()
    return Workspace(key, name or key, name or key, None, NOW, NOW, version)


def renamed(value: Workspace, name: str) -> Workspace:
    """Return the next version of a workspace under another name."""
    return attrs.evolve(value, name=name, folded_name=name, version=value.version + 1)


def touched(value: Workspace) -> Workspace:
    """Return the next version of a workspace."""
    return attrs.evolve(value, updated_at=value.updated_at + timedelta(seconds=1), version=value.version + 1)


def mapping(local_id: str | None = None) -> Mapping:
    return Mapping(local_id or new_id(), "DFID-1", "w")


def share(recipient: str, number: int = 0) -> Share:
    return Share(new_id(), f"DFID-{new_id()}", "u", "w", recipient, NOW + timedelta(microseconds=number))


def notification(user_id: str, **more: Any) -> Notification:
    return Notification(new_id(), user_id, "kind", new_id(), NOW, **more)


def item(**more: Any) -> Item:
    usual: dict[str, Any] = {
        "dfid": f"DFID-{new_id()}",
        "local_id": None,
        "workspace_id": "w",
        "created_by": "u",
        "status": ItemStatus.ACTIVE,
        "identifiers": (),
        "data": Document(),
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Item(**usual | more)
