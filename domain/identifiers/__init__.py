"""What people type, scan or import, turned into one canonical value per number, and what it proves.

No I/O, no clock, no storage. Types are value objects in `REGISTRY`; nothing else in the system names them.
"""

from domain.identifiers.model import (
    MAX_LENGTH,
    Check,
    Evidence,
    IdentifierKind,
    IdentifierScope,
    IdentifierType,
    Privacy,
    Reason,
    Uniqueness,
)
from domain.identifiers.registry import (
    REGISTRY,
    UNICODE_VERSION,
    candidates,
    canonical_key,
    canonical_namespace,
    check,
    key_is_valid,
    namespace_is_valid,
    type_of,
)
from domain.identifiers.scopes import (
    GENERIC_NAMESPACE,
    WELL_KNOWN_NAMESPACES,
    allowed_scopes,
    default_namespace,
    default_scope,
    effective_scope,
    kind_fault,
    kind_of,
)
from domain.identifiers.tables import TABLE_DATES

__all__ = [
    "GENERIC_NAMESPACE",
    "MAX_LENGTH",
    "REGISTRY",
    "TABLE_DATES",
    "UNICODE_VERSION",
    "WELL_KNOWN_NAMESPACES",
    "Check",
    "Evidence",
    "IdentifierKind",
    "IdentifierScope",
    "IdentifierType",
    "Privacy",
    "Reason",
    "Uniqueness",
    "allowed_scopes",
    "candidates",
    "canonical_key",
    "canonical_namespace",
    "check",
    "default_namespace",
    "default_scope",
    "effective_scope",
    "key_is_valid",
    "kind_fault",
    "kind_of",
    "namespace_is_valid",
    "type_of",
]
