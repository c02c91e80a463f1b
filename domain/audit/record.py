"""Making audit entries (platform.md 6.1, 6.2)."""

import secrets
from datetime import datetime
from typing import Any

from domain.access.principal import Principal
from domain.audit.values import AuditEntry
from domain.canonical import canonical, sha256_hex
from domain.document import Document
from domain.evolving import evolve
from domain.ids import new_id
from domain.instants import wire

SEVERITIES = {
    "notice": [
        "account.frozen",
        "account.unfrozen",
        "password.changed",
        "password.reset_issued",
        "password.reset",
        "login.failed",
        "api_key.created",
        "api_key.revoked",
        "access.denied",
        "audit.exported",
        "storage.copied",
        "item.transferred",
        "item.identifier_confirmed",
    ],
    "warning": [
        "account.erased",
        "account.admin_granted",
        "account.admin_revoked",
        "setup.completed",
        "token.forged",
        "api_key.refused",
        "item.identifier_released",
        "item.identifier_erased",
        "event.erased",
    ],
    "critical": ["session.reuse_detected", "integrity.failed", "event.chain_broken"],
}
_SEVERITY_OF = {action: severity for severity, actions in SEVERITIES.items() for action in actions}


def audit_entry(
    principal: Principal,
    now: datetime,
    action: str,
    resource: tuple[str, str],
    *,
    circuit_id: str | None = None,
    workspace_id: str | None = None,
    outcome: str = "success",
    reason: str | None = None,
    count: int = 1,
    details: dict[str, Any] | None = None,
    submitted_name: str | None = None,
) -> AuditEntry:
    """Return a new entry with its hashes; `resource` is (kind, id)."""
    personal = _personal(principal, submitted_name)
    salt = secrets.token_bytes(16) if personal is not None else None
    entry = AuditEntry(
        entry_id=new_id(),
        at=now,
        actor=Document(
            kind=str(principal.kind),
            user_id=principal.user_id,
            key_id=principal.key_id,
            session_id=principal.session_id,
            workspace_id=principal.workspace_id,
        ),
        action=action,
        resource=Document(kind=resource[0], id=resource[1]),
        circuit_id=circuit_id,
        workspace_id=workspace_id,
        outcome=outcome,
        severity=_SEVERITY_OF.get(action, "info"),
        trace_id=principal.trace_id,
        reason=reason,
        count=count,
        details=Document(details or {}),
        personal=personal,
        personal_salt=salt.hex() if salt else None,
        personal_digest=personal_digest(salt, personal) if salt and personal is not None else None,
        entry_hash="",
    )
    return evolve(entry, entry_hash=entry_hash(entry))


def _personal(principal: Principal, submitted_name: str | None) -> Document | None:
    if principal.address is None and principal.user_agent is None and submitted_name is None:
        return None
    return Document(address=principal.address, user_agent=principal.user_agent, submitted_name=submitted_name)


def personal_digest(salt: bytes, personal: Document) -> str:
    """Return the digest that stands for the erasable part: SHA-256(salt, canonical JSON)."""
    return sha256_hex(salt + canonical(personal))


def entry_hash(entry: AuditEntry) -> str:
    """Return the leaf hash of an entry: SHA-256(0x00, canonical JSON of all but `personal`), `defarm-audit/1`."""
    return sha256_hex(
        b"\x00"
        + canonical(
            {
                "v": "defarm-audit/1",
                "entry_id": entry.entry_id,
                "at": wire(entry.at),
                "actor": entry.actor,
                "action": entry.action,
                "resource": entry.resource,
                "circuit_id": entry.circuit_id,
                "workspace_id": entry.workspace_id,
                "outcome": entry.outcome,
                "severity": entry.severity,
                "reason": entry.reason,
                "count": entry.count,
                "trace_id": entry.trace_id,
                "details": entry.details,
                "personal_digest": entry.personal_digest,
            },
            entry.count,
            entry.details,
        )
    )
