"""From kinds to OpenAPI 3.1 schemas with every bound the decoder enforces (http.md 15)."""

from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import attrs

from entrypoints.http.codec import kinds
from entrypoints.http.codec.decoding import DFID_LENGTH
from entrypoints.http.codec.encoding import plain

Direction = Literal["request", "answer"]
UUID_PATTERN = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"


@attrs.define
class Schemas:
    """Collects named components while schemas are made: one per attrs class and direction, one per enum.

    Requests are closed (`additionalProperties: false`), answers open and with all members.
    """

    components: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    _names: dict[tuple[Any, str], str] = attrs.field(factory=dict)

    def of(self, hint: Any, direction: Direction) -> dict[str, Any]:
        """Return the schema of an annotation."""
        return self._schema(kinds.kind_of(hint), direction)

    def of_kind(self, kind: kinds.Kind, direction: Direction = "request") -> dict[str, Any]:
        """Return the schema of a kind."""
        return self._schema(kind, direction)

    def _schema(self, kind: kinds.Kind, direction: Direction) -> dict[str, Any]:
        if isinstance(kind, kinds.NullableKind):
            return _nullable(self._schema(kind.inner, direction))
        if isinstance(kind, kinds.UnionKind):
            return {"anyOf": [self._schema(option, direction) for option in kind.options]}
        if isinstance(kind, kinds.ArrayKind):
            return self._array(kind, direction)
        if isinstance(kind, kinds.MappingKind):
            inner = self._schema(kind.element, direction)
            bounds = _bounds(minProperties=kind.low or None, maxProperties=kind.high)
            return {"type": "object", "additionalProperties": inner, **bounds}
        if isinstance(kind, kinds.ChoiceKind):
            return self._choice(kind)
        if isinstance(kind, kinds.RecordKind):
            return self._record(kind.cls, direction)
        return _LEAVES[type(kind)](kind)

    def _array(self, kind: kinds.ArrayKind, direction: Direction) -> dict[str, Any]:
        bounds = _bounds(minItems=kind.low or None, maxItems=kind.high, uniqueItems=kind.unique or None)
        return {"type": "array", "items": self._schema(kind.element, direction), **bounds}

    def _choice(self, kind: kinds.ChoiceKind) -> dict[str, Any]:
        values = {"type": "string", "enum": list(kind.values)}
        if kind.name is None:
            return values
        owner = next((type(value) for value in kind.values.values() if isinstance(value, Enum)), kind.name)
        return self._component(owner, "", kind.name, lambda: values)

    def _record(self, cls: Any, direction: Direction) -> dict[str, Any]:
        return self._component(cls, direction, cls.__name__, lambda: self._object(cls, direction))

    def _component(self, owner: Any, direction: str, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if (owner, direction) not in self._names:
            chosen = self._free_name(name, direction)
            self._names[owner, direction] = chosen
            self.components[chosen] = {}
            self.components[chosen] = make()
        return {"$ref": f"#/components/schemas/{self._names[owner, direction]}"}

    def _free_name(self, name: str, direction: str) -> str:
        candidates = (name, name + direction.title(), *(f"{name}{number}" for number in range(2, 1000)))
        return next(candidate for candidate in candidates if candidate not in self.components)

    def _object(self, cls: Any, direction: Direction) -> dict[str, Any]:
        members = kinds.members_of(cls)
        properties = {member.name: self.member(member, direction) for member in members}
        closed = {"additionalProperties": False} if direction == "request" else {}
        required = [m.name for m in members if _has_to_be_there(m, direction)]
        return {
            "type": "object",
            "properties": properties,
            **({"required": required} if required else {}),
            **closed,
        }

    def member(self, member: kinds.Member, direction: Direction) -> dict[str, Any]:
        """Return the schema of one member or parameter, with its default and description."""
        schema = self._schema(member.kind, direction)
        if direction == "answer":
            return schema | ({"description": member.about} if member.about else {})
        extras = _bounds(default=_default(member), description=member.about)
        return {"allOf": [schema], **extras} if "$ref" in schema and extras else {**schema, **extras}


def schema(cls: type[Any], direction: Direction = "request") -> dict[str, Any]:
    """Return a self-contained schema of one attrs class, its components under `$defs`."""
    schemas = Schemas()
    top = schemas.of(cls, direction)
    return {**_moved(top), "$defs": {name: _moved(part) for name, part in schemas.components.items()}}


def _moved(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _moved(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_moved(entry) for entry in value]
    prefix = "#/components/schemas/"
    if isinstance(value, str) and value.startswith(prefix):
        return "#/$defs/" + value.removeprefix(prefix)
    return value


def _has_to_be_there(member: kinds.Member, direction: Direction) -> bool:
    return member.required if direction == "request" else not member.may_be_unset


def _default(member: kinds.Member) -> Any:
    if member.required or member.may_be_unset or isinstance(member.default, attrs.Factory):  # type: ignore[arg-type]
        return None
    return plain(member.default)


def _bounds(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]} if schema else {}


def _text(kind: kinds.TextKind) -> dict[str, Any]:
    pattern = kind.pattern
    regex = f"^(?:{pattern.regex})$" if pattern and not pattern.fold else None
    bounds = _bounds(minLength=kind.rule.low or None, maxLength=kind.rule.high, pattern=regex)
    return {"type": "string", **bounds}


def _number(kind: kinds.NumberKind) -> dict[str, Any]:
    if not kind.whole:
        return {"type": "number", **_bounds(minimum=kind.low, maximum=kind.high)}
    low = -kinds.SAFE_INTEGER if kind.low is None else kind.low
    high = kinds.SAFE_INTEGER if kind.high is None else kind.high
    return {"type": "integer", "minimum": low, "maximum": high}


_LEAVES: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    kinds.TextKind: _text,
    kinds.UuidKind: lambda _: {"type": "string", "format": "uuid", "pattern": UUID_PATTERN},
    kinds.DfidKind: lambda _: {"type": "string", "minLength": 1, "maxLength": DFID_LENGTH, "format": "dfid"},
    kinds.InstantKind: lambda _: {"type": "string", "format": "date-time"},
    kinds.DayKind: lambda _: {"type": "string", "format": "date"},
    kinds.BoolKind: lambda _: {"type": "boolean"},
    kinds.NumberKind: _number,
    kinds.FreeObjectKind: lambda _: {"type": "object", "additionalProperties": True},
    kinds.AnyKind: lambda _: {},
}
