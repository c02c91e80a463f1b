"""A line of NDJSON as a submission, by cattrs: nothing coerced, nothing unknown, every fault with its place."""

import json
from typing import Any, NoReturn

import cattrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)

from domain.document import Document
from domain.errors import Fault, Invalid
from domain.identifiers import IdentifierKind, IdentifierScope
from domain.items.submission import Submission


def submission_of(text: str) -> Submission:
    """Return the submission of one JSON text. Raises Invalid with every fault."""
    try:
        document = json.loads(text, object_pairs_hook=_members, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        place = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Invalid([Fault("body_unparsable", f"Not JSON{place}: {reason}.", pointer="")]) from error
    try:
        return _converter.structure(document, Submission)
    except (ClassValidationError, IterableValidationError) as error:
        raise Invalid(list(_faults(error, ""))) from error
    except (TypeError, ValueError) as error:
        raise Invalid([Fault("type", str(error), pointer="")]) from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _text(value: Any, _: type) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _document(value: Any, _: type) -> Document:
    if not isinstance(value, dict):
        raise TypeError("an object is expected")
    return Document(value)


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(Document, _document)
    for kind in (IdentifierKind, IdentifierScope):
        converter.register_structure_hook(kind, lambda value, cls: cls(_text(value, cls)))
    return converter


_converter = _make_converter()


def _faults(error: BaseException, pointer: str) -> list[Fault]:
    if isinstance(error, ForbiddenExtraKeysError):
        return [
            Fault("unknown_field", "Nothing of this name belongs here.", pointer=f"{pointer}/{name}")
            for name in sorted(error.extra_fields)
        ]
    if isinstance(error, ClassValidationError | IterableValidationError):
        return [fault for inner in error.exceptions for fault in _faults(inner, pointer + _step(inner))]
    if isinstance(error, KeyError):
        return [Fault("required", "This member is missing.", pointer=pointer)]
    code = "not_allowed" if isinstance(error, ValueError) else "type"
    return [Fault(code, str(error), pointer=pointer)]


def _step(error: BaseException) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f"/{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"/{note.index}"
    return ""
