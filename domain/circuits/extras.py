"""The extras of a waiting push of a draft, kept until the decision: personal values are sealed."""

from typing import Any

import attrs

from domain.circuits.values import Operation
from domain.document import EMPTY, Document
from domain.identifiers import IdentifierKind, IdentifierScope, Privacy, canonical_key, type_of
from domain.identifiers.personal import IdentifierKeys
from domain.items.submission import IdentifierInput, Submission


def staged(operation: Operation, extras: Submission, keys: IdentifierKeys) -> Operation:
    """Return the operation with the extras put away; without any it keeps null."""
    kept = tuple(_put(given, operation.operation_id, keys) for given in extras.identifiers)
    return attrs.evolve(operation, identifiers=kept or None, data=extras.data or None)


def taken(operation: Operation, keys: IdentifierKeys) -> Submission:
    """Return the extras of a waiting operation. Raises SealBroken."""
    given = tuple(_taken(kept, operation.operation_id, keys) for kept in operation.identifiers or ())
    return Submission(identifiers=given, data=operation.data or EMPTY)


def _put(given: IdentifierInput, operation_id: str, keys: IdentifierKeys) -> Document:
    members: dict[str, Any] = attrs.asdict(given, recurse=False)
    if _personal(given.key):
        members["value"] = keys.seal(operation_id, given.namespace, canonical_key(given.key), given.value)
    return Document(members)


def _taken(kept: Document, operation_id: str, keys: IdentifierKeys) -> IdentifierInput:
    key, value, namespace = kept["key"], kept["value"], kept["namespace"]
    return IdentifierInput(
        key,
        keys.open(operation_id, namespace, canonical_key(key), value) if _personal(key) else value,
        namespace,
        kind=None if kept["kind"] is None else IdentifierKind(kept["kind"]),
        scope=None if kept["scope"] is None else IdentifierScope(kept["scope"]),
    )


def _personal(key: str) -> bool:
    kind = type_of(key)
    return kind is not None and kind.privacy is Privacy.PERSONAL
