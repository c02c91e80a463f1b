"""The one list of identifier types, keys and the check (identifiers.md 1 to 3)."""

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from domain.document import Document
from domain.identifiers import contextual
from domain.identifiers.brazil_tax import CNPJ, CPF
from domain.identifiers.car import CAR
from domain.identifiers.cib import CIB
from domain.identifiers.gs1 import GLN, GTIN, SSCC
from domain.identifiers.gta import GTA
from domain.identifiers.incra import INCRA
from domain.identifiers.model import MAX_LENGTH, Check, Evidence, IdentifierType, Malformed, Reason
from domain.identifiers.rfid import RFID
from domain.identifiers.sisbov import SISBOV

_TYPES = (SISBOV, RFID, SSCC, CAR, CIB, INCRA, GTA, GTIN, GLN, CPF, CNPJ)

REGISTRY: Mapping[str, IdentifierType] = MappingProxyType({kind.name: kind for kind in _TYPES})
"""Every canonical type by name, in the order of identifiers.md 3."""

_ALIASES = {alias: kind.name for kind in _TYPES for alias in kind.aliases}
_KEY = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_NAMESPACE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TOO_LONG = Reason("length", f"Text of more than {MAX_LENGTH} characters is not looked at.")

UNICODE_VERSION = unicodedata.unidata_version
"""Version of Unicode the normalised forms rest on."""


def _lower(text: str) -> str:
    # Lower-casing turns the Kelvin sign into k; a foreign letter must not become an ASCII one.
    text = text.strip()
    return text.lower() if text.isascii() else text


def canonical_key(key: str) -> str:
    """Return `key` trimmed, lower-cased and with an alias replaced by the type's name."""
    if key in REGISTRY:
        return key
    key = _lower(key)
    return _ALIASES.get(key, key)


def key_is_valid(key: str) -> bool:
    """Tell whether `key` can name identifiers, after trimming and lower-casing (items-events.md 1.1)."""
    return _KEY.fullmatch(_lower(key)) is not None


def canonical_namespace(namespace: str) -> str:
    """Return `namespace` trimmed and lower-cased."""
    return _lower(namespace)


def namespace_is_valid(namespace: str) -> bool:
    """Tell whether `namespace` is one, after trimming and lower-casing (items-events.md 1.1)."""
    return _NAMESPACE.fullmatch(_lower(namespace)) is not None


@lru_cache(256)
def type_of(key: str) -> IdentifierType | None:
    """Return the canonical type `key` or its alias names, None for a contextual key."""
    return REGISTRY.get(canonical_key(key))


def check(key: str, value: str) -> Check:
    """Return what `value` proves as a number of the type `key`; an unknown key is contextual.

    Total: any text gets a result. Nothing is looked up, `registry_ok` is never returned.
    """
    kind = type_of(key)
    name = kind.name if kind else None
    if len(value) > MAX_LENGTH:
        return _malformed(name, _TOO_LONG)
    try:
        return _check_canonical(kind, value) if kind else _check_contextual(value)
    except Malformed as fault:
        return _malformed(name, fault.reason)


def candidates(value: str) -> tuple[Check, ...]:
    """Return the checks of every type for which `value` is at least `format_ok`, best level first."""
    checks = (check(name, value) for name in REGISTRY)
    possible = [found for found in checks if found.evidence >= Evidence.FORMAT_OK]
    return tuple(sorted(possible, key=lambda found: -found.evidence.rank))


def _malformed(name: str | None, reason: Reason) -> Check:
    return Check(name, Evidence.MALFORMED, None, None, (reason,))


def _check_canonical(kind: IdentifierType, value: str) -> Check:
    cleaned = kind.clean(value)
    number = cleaned.normalised
    verdict = kind.check(number)
    attributes = Document({**cleaned.spelling, **verdict.attributes})
    return Check(kind.name, verdict.evidence, number, kind.display(number), verdict.reasons, attributes)


def _check_contextual(value: str) -> Check:
    return Check(None, Evidence.FORMAT_OK, contextual.normalise(value), contextual.display(value))
