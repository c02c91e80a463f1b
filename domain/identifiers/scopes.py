"""Kind, namespace and scope an identifier gets by default, and which are allowed (items-events.md 1.3, 3.2, 3.3)."""

from collections.abc import Iterable

from domain.identifiers.model import Check, Evidence, IdentifierKind, IdentifierScope, Uniqueness
from domain.identifiers.registry import type_of

GENERIC_NAMESPACE = "generic"
WELL_KNOWN_NAMESPACES = ("bovino", "aves", "suino", "soja", "milho", "algodao", "cafe", "leite", GENERIC_NAMESPACE)

_CONTEXTUAL_SCOPES = frozenset({IdentifierScope.WORKSPACE, IdentifierScope.REFERENCE})


def kind_of(key: str) -> IdentifierKind:
    """Return the only kind identifiers of `key` can have."""
    return IdentifierKind.CANONICAL if type_of(key) else IdentifierKind.CONTEXTUAL


def kind_fault(key: str, asked: IdentifierKind) -> str | None:
    """Return the code of the fault in asking for kind `asked`, None when it is right."""
    actual = kind_of(key)
    if asked == actual:
        return None
    return "identifier_type_unknown" if asked == IdentifierKind.CANONICAL else "identifier_key_reserved"


def default_namespace(key: str) -> str:
    """Return the namespace of an identifier that names none, circuits aside."""
    kind = type_of(key)
    return kind.default_namespace if kind else GENERIC_NAMESPACE


def allowed_scopes(key: str) -> frozenset[IdentifierScope]:
    """Return the scopes an identifier of `key` may be given."""
    kind = type_of(key)
    return kind.allowed_scopes if kind else _CONTEXTUAL_SCOPES


def default_scope(key: str, *, creating: bool, submitted_keys: Iterable[str]) -> IdentifierScope:
    """Return the scope of an identifier that asks for none.

    `submitted_keys` are the keys of the whole submission, `creating` tells that it makes a new item: only
    then can a number that items may share be the item itself.
    """
    kind = type_of(key)
    if kind is None:
        return IdentifierScope.WORKSPACE
    if kind.uniqueness == Uniqueness.ONE_ITEM:
        return IdentifierScope.GLOBAL
    if kind.uniqueness == Uniqueness.PARTY or not creating or any(map(_names_an_item, submitted_keys)):
        return IdentifierScope.REFERENCE
    return IdentifierScope.GLOBAL


def _names_an_item(key: str) -> bool:
    kind = type_of(key)
    return kind is None or kind.uniqueness == Uniqueness.ONE_ITEM


def effective_scope(check: Check, scope: IdentifierScope) -> tuple[IdentifierScope, str | None]:
    """Return the scope a checked number really gets, and the code of the warning when that is less than asked.

    A number not issued like this, and one that is unique inside one company only, identify within their
    owner's books and block nobody else.
    """
    if scope != IdentifierScope.GLOBAL:
        return scope, None
    if check.evidence == Evidence.CHECK_FAILED:
        return IdentifierScope.WORKSPACE, "check_failed_claims_locally"
    if check.attributes.get("restricted"):
        return IdentifierScope.WORKSPACE, "restricted_claims_locally"
    return scope, None
