"""What of a newer OpenAPI document breaks the clients of an older one (http.md 1, 15).

Additions are no break: operations, optional request members, response members, enumerated values in answers, problem
codes, headers. Everything else that this module looks at is.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

Schema = Mapping[str, Any]

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_UPPER: Final = ("maxLength", "maxItems", "maximum")
_LOWER: Final = ("minLength", "minItems", "minimum")


def breaks(before: Schema, after: Schema) -> list[str]:
    """Return what clients of the document `before` stumble over when the server is that of `after`, in words."""
    return sorted(set(_Comparison(before, after).operations()))


@attrs.define
class _Comparison:
    before: Schema
    after: Schema
    _compared: set[tuple[str, str, bool]] = attrs.field(factory=set)

    def operations(self) -> Iterator[str]:
        for path, methods in self.before["paths"].items():
            for method in _METHODS:
                if method in methods:
                    name = f"{method.upper()} {path}"
                    found = self.after["paths"].get(path, {}).get(method)
                    yield from (f"{name} is gone",) if found is None else self._operation(name, methods[method], found)

    def _operation(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        if before.get("security") != after.get("security") or before.get("x-scope") != after.get("x-scope"):
            yield f"{name} asks for another credential"
        yield from self._parameters(name, before, after)
        yield from self._body(name, before.get("requestBody"), after.get("requestBody"))
        yield from self._answers(name, before["responses"], after["responses"])

    def _parameters(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        known, found = (
            {(each["in"], each["name"]): each for each in one.get("parameters", ())} for one in (before, after)
        )
        for key in known.keys() - found.keys():
            yield f"{name} takes no {key[1]} any more"
        for key, each in found.items():
            if each.get("required") and not known.get(key, {}).get("required"):
                yield f"{name} insists on {key[1]}"
            if key in known:
                yield from self._schema(f"{name} {key[1]}", known[key]["schema"], each["schema"], sent=True)

    def _body(self, name: str, before: Schema | None, after: Schema | None) -> Iterator[str]:
        if after is not None and after.get("required") and not (before or {}).get("required"):
            yield f"{name} insists on a body"
        if before is None:
            return
        if after is None:
            yield f"{name} takes no body any more"
            return
        for kind, content in before["content"].items():
            if kind not in after["content"]:
                yield f"{name} takes no {kind} any more"
            elif "schema" in content:
                yield from self._schema(name, content["schema"], after["content"][kind].get("schema", {}), sent=True)

    def _answers(self, name: str, before: Schema, after: Schema) -> Iterator[str]:
        known, found = ({code: one[code] for code in one if code < "300"} for one in (before, after))
        for status in found.keys() - known.keys():
            yield f"{name} answers {status}"
        for status in known.keys() & found.keys():
            for header in known[status].get("headers", {}).keys() - found[status].get("headers", {}).keys():
                yield f"{name} {status} has no {header} any more"
            contents = found[status].get("content", {})
            for kind, content in known[status].get("content", {}).items():
                if kind not in contents:
                    yield f"{name} {status} is no {kind} any more"
                elif "schema" in content:
                    yield from self._schema(
                        f"{name} {status}", content["schema"], contents[kind].get("schema", {}), sent=False
                    )

    def _schema(self, where: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        """Compare what clients send, or what they are told, in one place."""
        names = str(before.get("$ref", "")), str(after.get("$ref", "")), sent
        if all(names[:2]):
            where = names[0].rpartition("/")[2] + (" as sent" if sent else " as told")
            if names in self._compared:
                return
            self._compared.add(names)
        known, found = _resolved(self.before, before), _resolved(self.after, after)
        yield from self._alternatives(where, known, found, sent=sent)
        wider, narrower = (found, known) if sent else (known, found)
        if "type" in wider and "anyOf" not in narrower and not _fit(_types(narrower), _types(wider)):
            yield f"{where} is {sorted(_types(found))}, was {sorted(_types(known))}"
        if sent:
            yield from _narrowed(where, known, found)
        yield from self._members(where, known, found, sent=sent)
        for name in ("items", "additionalProperties"):
            if isinstance(known.get(name), Mapping) and isinstance(found.get(name), Mapping):
                yield from self._schema(f"{where}[]", known[name], found[name], sent=sent)

    def _members(self, where: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        known, found = before.get("properties", {}), after.get("properties", {})
        for name in known.keys() - found.keys():
            yield f"{where} has no {name} any more"
        must, may = (after, before) if sent else (before, after)
        for name in set(must.get("required", ())) - set(may.get("required", ())):
            if sent or name in found:
                yield f"{where} insists on {name}" if sent else f"{where} may leave {name} out"
        for name in known.keys() & found.keys():
            yield from self._schema(f"{where}.{name}", known[name], found[name], sent=sent)

    def _alternatives(self, where: str, before: Schema, after: Schema, *, sent: bool) -> Iterator[str]:
        """Every alternative that clients use, or must understand, needs one on the other side that fits it."""
        known, found = before.get("anyOf", [before]), after.get("anyOf", [after])
        if "anyOf" not in before and "anyOf" not in after:
            return
        for one in known if sent else found:
            pairs = ((one, other) if sent else (other, one) for other in (found if sent else known))
            if all(self._differ(*pair, sent=sent) for pair in pairs):
                yield f"{where} knows fewer alternatives" if sent else f"{where} knows more alternatives"

    def _differ(self, before: Schema, after: Schema, *, sent: bool) -> bool:
        return bool([*_Comparison(self.before, self.after, set(self._compared))._schema("", before, after, sent=sent)])


def _resolved(document: Schema, schema: Schema) -> Schema:
    """Return a schema with what it refers to in its place."""
    while "$ref" in schema or "allOf" in schema:
        parts = schema.get("allOf", [])
        if "$ref" in schema:
            parts = [document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], *parts]
        own = {name: value for name, value in schema.items() if name not in ("$ref", "allOf")}
        schema = {name: value for part in (*parts, own) for name, value in part.items()}
    return schema


def _fit(narrower: frozenset[str], wider: frozenset[str]) -> bool:
    """Tell whether all of one side are types of the other; no types at all stand for any."""
    return bool(narrower) and narrower <= wider


def _types(schema: Schema) -> frozenset[str]:
    given = schema.get("type", ())
    types = {given} if isinstance(given, str) else set(given)
    return frozenset(types | ({"integer"} if "number" in types else set()))


def _narrowed(where: str, before: Schema, after: Schema) -> Iterator[str]:
    if "enum" in after and not set(before.get("enum", [None])) <= set(after["enum"]):
        yield f"{where} takes fewer values"
    if after.get("pattern", before.get("pattern")) != before.get("pattern"):
        yield f"{where} follows another pattern"
    for name in _UPPER:
        if name in after and after[name] < before.get(name, float("inf")):
            yield f"{where} has a smaller {name}"
    for name in _LOWER:
        if name in after and after[name] > before.get(name, float("-inf")):
            yield f"{where} has a larger {name}"
