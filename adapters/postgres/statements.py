"""The statements of every facet, made once from its declaration.

Each facet is one table: its columns, its version when it has one, its searched words when it has them, and the
whole value as a JSON body. Statements that change rows end in `defarm_expect`, which ends the transaction when
fewer rows were met than the unit relied on, so that a unit is one round trip.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from itertools import chain
from operator import attrgetter
from types import NoneType
from typing import Any, get_args, get_type_hints

import attrs

from domain.ports.queries import AnyOf, Between, Condition, Cursor, Select, StartsWith
from domain.ports.schema import FACETS, Column, Facet, Key

LONGEST_TOKEN = 500
"""Characters of a word that are searched; PostgreSQL refuses words of more than 2,046 bytes."""

_NUMBERS = {"log_index", "position", "priority", "row", "urgency", "version"}
_FLAGS = {
    "unread",
    "published",
    "is_admin",
    "personal",
    "listed",
    "can_pull",
    "can_approve",
    "can_manage_members",
    "require_approval_for_pull",
}
_INSTANTS = {"at", "member_since", "public_since"}


def column_type(name: str) -> str:
    """Return the PostgreSQL type of a column, which its name tells."""
    if name in _NUMBERS:
        return "bigint"
    if name in _FLAGS:
        return "boolean"
    return "timestamptz" if name in _INSTANTS or name.endswith("_at") else "text"


def _listed(template: str, names: Iterable[str], between: str = ", ") -> str:
    return between.join(template.format(name) for name in names)


def _given(names: Sequence[str], types: Sequence[str], *, one: bool = False) -> str:
    """Return the rows that come with a statement, as `d`.

    Arrays of few elements are planned anew each time, for a plan for any number costs more. One row is scalars.
    """
    rows = f"(values ({_listed('%s::{}', types)}))" if one else f"unnest({_listed('%b::{}[]', types)})"
    listed = _listed('"{}"', names)
    return f"{rows} as d({listed})"


@attrs.frozen(slots=False)
class Statements:
    """SQL of one facet."""

    facet: Facet[Any]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The stored columns in order, without the body and without what the store itself numbers."""
        serial = self.facet.serial[0] if self.facet.serial else None
        names = [name for name in self.facet.columns if name != serial]
        return (
            *names,
            *(("version",) if self.facet.versioned else ()),
            *(("tokens",) if self.facet.tokens else ()),
            "body",
        )

    @cached_property
    def types(self) -> tuple[str, ...]:
        special = {"body": "json", "tokens": "text"}
        return tuple(special.get(name) or column_type(name) for name in self.columns)

    @cached_property
    def answer(self) -> str:
        """What a read returns: the body, and the number the store gave the row, null when it gives none."""
        return f'body, "{self.facet.serial[0]}"' if self.facet.serial else "body, null::bigint"

    @cached_property
    def _names(self) -> str:
        return _listed('"{}"', self.columns)

    @cached_property
    def _values(self) -> str:
        return ", ".join('"tokens"::tsvector' if name == "tokens" else f'"{name}"' for name in self.columns)

    @cached_property
    def _unnest(self) -> str:
        return _given(self.columns, self.types)

    @cached_property
    def fetch(self) -> str:
        keys, table = self.facet.key, self.facet.name
        if len(keys) == 1:
            return f'select {self.answer} from {table} where "{keys[0]}" = any(%b)'
        arrays, names = _listed("%b::text[]", keys), _listed('"{}"', keys)
        return f"select {self.answer} from {table} join unnest({arrays}) as d({names}) using ({names})"

    @cached_property
    def fetch_one(self) -> str:
        keys = _listed('"{}" = %s', self.facet.key, " and ")
        return f"select {self.answer} from {self.facet.name} where {keys}"

    @cached_property
    def insert_one(self) -> str:
        holes = ", ".join("%s::tsvector" if name == "tokens" else "%s" for name in self.columns)
        return f"insert into {self.facet.name} ({self._names}) values ({holes})"

    @cached_property
    def insert(self) -> str:
        if self.facet.serial:
            return self._insert_numbered
        return f"insert into {self.facet.name} ({self._names}) select {self._values} from {self._unnest}"

    @cached_property
    def _insert_numbered(self) -> str:
        assert self.facet.serial is not None
        member, owner = self.facet.serial
        table = self.facet.name
        return f"""
            with input as (select d.*, row_number() over () as n from {self._unnest}),
            counted as (
                insert into {table}_counters as c (owner, last)
                select "{owner}", count(*) from input group by "{owner}" order by "{owner}"
                on conflict (owner) do update set last = c.last + excluded.last
                returning owner, last
            )
            insert into {table} ({self._names}, "{member}")
            select {_listed('i."{}"', self.columns)},
                   c.last - count(*) over (partition by i."{owner}")
                   + row_number() over (partition by i."{owner}" order by i.n)
            from input i join counted c on c.owner = i."{owner}"
        """

    @cached_property
    def copy(self) -> str:
        return f"copy {self.facet.name} ({self._names}) from stdin"

    @cached_property
    def _same_key(self) -> str:
        return _listed('t."{0}" = d."{0}"', self.facet.key, " and ")

    @cached_property
    def update(self) -> str:
        return self._update(one=False)

    @cached_property
    def update_one(self) -> str:
        return self._update(one=True)

    def _update(self, *, one: bool) -> str:
        table = self.facet.name
        sets = ", ".join(
            f'"{name}" = d."{name}"' + ("::tsvector" if name == "tokens" else "")
            for name in self.columns
            if name not in self.facet.key
        )
        given = _given((*self.columns, "expected"), (*self.types, "bigint"), one=one)
        return (
            f"with done as (update {table} t set {sets} from {given}"
            f" where {self._same_key}{self._expected} returning 1)"
            f" select defarm_expect((select count(*) from done), %s, '{table}')"
        )

    @cached_property
    def handed(self) -> tuple[int, ...]:
        """The places in `columns` of the key and of what is unique: what `release` takes."""
        names = dict.fromkeys((*self.facet.key, *chain.from_iterable(self.facet.unique)))
        return tuple(map(self.columns.index, names))

    @cached_property
    def release(self) -> str:
        """Let rows go of the unique values that they will not keep, before others of the unit take them."""
        table = self.facet.name
        names = [self.columns[place] for place in self.handed]
        types = [self.types[place] for place in self.handed]
        leaving = {key: _listed('t."{0}" is distinct from d."{0}"', key, " or ") for key in self.facet.unique}
        nobodys = "concat_ws(' ', chr(1), " + _listed('t."{}"', self.facet.key) + ")"
        kept = [
            f'"{key[-1]}" = case when {gone} then {nobodys} else t."{key[-1]}" end' for key, gone in leaving.items()
        ]
        return (
            f"update {table} t set {', '.join(kept)} from {_given(names, types)}"
            f" where {self._same_key} and ({' or '.join(leaving.values())})"
        )

    def _keys(self, *, one: bool) -> str:
        return _given((*self.facet.key, "expected"), (*["text"] * len(self.facet.key), "bigint"), one=one)

    @cached_property
    def _expected(self) -> str:
        return " and t.version = d.expected" if self.facet.versioned else ""

    @cached_property
    def delete(self) -> str:
        return self._delete(one=False)

    @cached_property
    def delete_one(self) -> str:
        return self._delete(one=True)

    def _delete(self, *, one: bool) -> str:
        table = self.facet.name
        return (
            f"with done as (delete from {table} t using {self._keys(one=one)} where {self._same_key}{self._expected}"
            f" returning 1) select defarm_expect((select count(*) from done), %s, '{table}')"
        )

    @cached_property
    def _order(self) -> str:
        return _listed('t."{}"', self.facet.key)

    @cached_property
    def lock(self) -> str:
        arrays, names = _listed("%b::text[]", self.facet.key), _listed('"{}"', self.facet.key)
        return (
            f"with held as materialized (select 1 from {self.facet.name} t join unnest({arrays}) as d({names})"
            f" on {self._same_key} order by {self._order} for no key update of t) select count(*) from held"
        )

    @cached_property
    def confirm(self) -> str:
        return self._confirm(one=False)

    @cached_property
    def confirm_one(self) -> str:
        return self._confirm(one=True)

    def _confirm(self, *, one: bool) -> str:
        table = self.facet.name
        return (
            f"with done as materialized (select 1 from {table} t join {self._keys(one=one)} on"
            f" {self._same_key}{self._expected} order by {self._order} for share of t)"
            f" select defarm_expect((select count(*) from done), %s, '{table}')"
        )

    def select(self, query: Select, after: Cursor | None, limit: int) -> tuple[str, list[Any]]:
        """Return the keyset query of one page and its parameters."""
        where, parameters = _clauses(query.where)
        order = tuple(dict.fromkeys((*query.order, *self.facet.key)))
        if after is not None:
            last = dict(zip((*query.order, *self.facet.key), after, strict=True))
            clause, values = self._beyond(query, {name: last[name] for name in order})
            where.append(clause)
            parameters += values
        direction = " desc" if query.descending else ""
        ordered = _listed('"{}"' + direction, order)
        text = f"select {self.answer} from {self.facet.name}{_where(where)} order by {ordered} limit %s"
        return text, [*parameters, limit]

    def count(self, where: Mapping[str, Condition], by: str) -> tuple[str, list[Any]]:
        """Return the query that counts matching rows by the value of a column, and its parameters."""
        clauses, parameters = _clauses(where)
        return f'select "{by}", count(*) from {self.facet.name}{_where(clauses)} group by "{by}"', parameters

    def _beyond(self, query: Select, last: dict[str, Any]) -> tuple[str, list[Any]]:
        """Return the condition that a row comes after `last`; a null comes after everything, descending before."""
        sign = "<" if query.descending else ">"
        if not any(self.may_be_null(name) and not _excludes_null(query.where.get(name)) for name in last):
            names, holes = _listed('"{}"', last), _listed("%s::{}", map(column_type, last))
            return f"({names}) {sign} ({holes})", list(last.values())
        clauses: list[str] = []
        parameters: list[Any] = []
        equal: list[str] = []
        fixed: list[Any] = []
        for name, value in last.items():
            hole = f"%s::{column_type(name)}"
            if value is not None:
                nulls = "" if query.descending else f' or "{name}" is null'
                clauses.append(" and ".join([*equal, f'("{name}" {sign} {hole}{nulls})']))
                parameters += [*fixed, value]
            elif query.descending:
                clauses.append(" and ".join([*equal, f'"{name}" is not null']))
                parameters += fixed
            equal.append(f'"{name}" is not distinct from {hole}')
            fixed.append(value)
        return f"({' or '.join(clauses)})", parameters

    def may_be_null(self, name: str) -> bool:
        """Tell whether a stored column may be null: a member that may be None, or computed by who knows what."""
        return name in self._nullable

    @cached_property
    def _nullable(self) -> frozenset[str]:
        hints = get_type_hints(self.facet.value)
        kinds = {
            name: hints.get(name) or self._computed_kind(name)
            for name in self.facet.columns
            if name not in self.facet.key
        }
        return frozenset(name for name, kind in kinds.items() if kind is None or NoneType in get_args(kind))

    def _computed_kind(self, name: str) -> Any:
        """Return the declared type of a column that no member holds, None when nothing declares it."""
        member = getattr(self.facet.value, name, None)
        computing = member.fget if isinstance(member, property) else self.facet.columns[name]
        return get_type_hints(computing).get("return")

    @cached_property
    def _getters(self) -> tuple[Column, ...]:
        """What computes the stored columns but the body, in order."""
        words = self.facet.tokens
        stored: dict[str, Column] = {**self.facet.columns, "version": attrgetter("version")}
        if words is not None:
            stored["tokens"] = lambda value: " ".join(map(_lexeme, words(value)))
        return tuple(stored[name] for name in self.columns[:-1])

    def parameters(self, value: Any, body: str) -> list[Any]:
        """Return the parameters of one stored row, in the order of `columns`."""
        return [*[column(value) for column in self._getters], body]

    def transposed(self, values: Sequence[Any], bodies: list[str]) -> list[list[Any]]:
        """Return the columns of stored rows, in the order of `columns`."""
        return [*[list(map(column, values)) for column in self._getters], bodies]


def _clauses(where: Mapping[str, Condition]) -> tuple[list[str], list[Any]]:
    made = [_clause(name, condition) for name, condition in where.items()]
    return [clause for clause, _ in made], [value for _, values in made for value in values]


def _where(clauses: Iterable[str]) -> str:
    text = " and ".join(clauses)
    return f" where {text}" if text else ""


def _excludes_null(condition: Any) -> bool:
    return None not in condition.values if isinstance(condition, AnyOf) else condition is not None


def _clause(name: str, condition: Any) -> tuple[str, list[Any]]:
    match condition:
        case None:
            return f'"{name}" is null', []
        case AnyOf(values) if len(values) == 1:
            return _clause(name, values[0])
        case AnyOf(values) if None in values:
            others = [value for value in values if value is not None]
            return f'("{name}" is null or "{name}" = any(%s::{column_type(name)}[]))', [others]
        case AnyOf(values):
            return f'"{name}" = any(%s::{column_type(name)}[])', [list(values)]
        case Between(start, end):
            bounds = [(">=", start), ("<", end)]
            given = [(sign, value) for sign, value in bounds if value is not None]
            return " and ".join([f'"{name}" is not null', *(f'"{name}" {sign} %s' for sign, _ in given)]), [
                value for _, value in given
            ]
        case StartsWith(prefix):
            return f'starts_with("{name}", %s)', [prefix]
        case _:
            return f'"{name}" = %s', [condition]


STATEMENTS: dict[str, Statements] = {facet.name: Statements(facet) for facet in FACETS}


def fetching(wanted: Mapping[str, Sequence[Key]]) -> tuple[str, list[Any]]:
    """Return one query for rows of several facets, and its parameters; a row begins with the name of its facet."""
    order = sorted(wanted)
    parameters: list[Any] = []
    for name in order:
        keys = wanted[name]
        if len(keys) == 1:
            parameters += [keys[0]] if isinstance(keys[0], str) else keys[0]
        else:
            parameters += [list(keys)] if isinstance(keys[0], str) else [list(part) for part in zip(*keys, strict=True)]
    return _fetching(tuple((name, len(wanted[name]) == 1) for name in order)), parameters


@lru_cache(4096)
def _fetching(parts: tuple[tuple[str, bool], ...]) -> str:
    return " union all ".join(
        f"select '{name}', r.* from ({STATEMENTS[name].fetch_one if single else STATEMENTS[name].fetch}) as r"
        for name, single in parts
    )


def _lexeme(token: str) -> str:
    """Return a word as tsvector reads it."""
    word = token[:LONGEST_TOKEN]
    if word.isalnum() or not word:
        return word
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def copy_text(columns: Iterable[list[Any]]) -> bytes:
    """Return rows, given by their columns, as COPY takes them."""
    lines = map("\t".join, zip(*map(_fields, columns), strict=True))
    return ("\n".join(lines) + "\n").encode()


def _fields(column: list[Any]) -> list[str]:
    """Return a column as fields. Texts in which nothing is to be escaped, which is most, are fields already."""
    try:
        whole = "".join(column)
    except TypeError:
        fields = {value: _field(value) for value in set(column)}
        return [fields[value] for value in column]
    return column if whole == _escaped(whole) else list(map(_escaped, column))


def _field(value: Any) -> str:
    match value:
        case None:
            return "\\N"
        case str():
            return _escaped(value)
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\t" in text or "\n" in text or "\r" in text:
        text = text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return text
