"""What one submission adds to an item, and the hash that commits it (items-events.md 1.4, 10.4)."""

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

from domain.canonical import digest
from domain.document import EMPTY, Document
from domain.events.chain import new_salt
from domain.identifiers import Privacy, type_of
from domain.ids import new_id
from domain.instants import wire
from domain.items.values import Contribution, ContributionSource, Identifier

_COMMITTED = (
    "contribution_id",
    "item",
    "workspace_id",
    "user_id",
    "source",
    "circuit_id",
    "merged_from",
    "identifiers",
    "removed_identifiers",
    "data",
    "recorded_at",
    "salt",
)
_committed = attrgetter(*_COMMITTED)


def contribution_hash(contribution: Contribution) -> str:
    """Return the hash of a contribution. Personal values enter by their lookup, never in clear."""
    return _hash(dict(zip(_COMMITTED, _committed(contribution), strict=True)))


def _hash(members: dict[str, Any]) -> str:
    committed = {
        **members,
        "v": "defarm-contribution/1",
        "identifiers": _hashed(members["identifiers"]),
        "removed_identifiers": _hashed(members["removed_identifiers"]),
        "recorded_at": wire(members["recorded_at"]),
    }
    return digest(committed, members["data"])


def _hashed(identifiers: Iterable[Identifier]) -> list[dict[str, Any]]:
    members = [
        {
            "namespace": identifier.namespace,
            "key": identifier.key,
            "normalised": committed_value(identifier),
            "kind": identifier.kind,
            "scope": identifier.scope,
            "evidence": identifier.evidence,
        }
        for identifier in identifiers
    ]
    return sorted(members, key=lambda member: (member["namespace"] or "", member["key"], member["normalised"] or ""))


def committed_value(identifier: Identifier) -> str | None:
    """Return the text by which a hash commits a value: normalised, or `hmac:` and the lookup for personal types."""
    kind = type_of(identifier.key)
    if kind is not None and kind.privacy is Privacy.PERSONAL:
        return None if identifier.lookup is None else f"hmac:{identifier.lookup}"
    return identifier.normalised


def new_contribution(
    *,
    item: str,
    source: ContributionSource,
    recorded_at: datetime,
    user_id: str | None,
    workspace_id: str,
    contribution_id: str | None = None,
    circuit_id: str | None = None,
    merged_from: str | None = None,
    identifiers: Iterable[Identifier] = (),
    removed_identifiers: Iterable[Identifier] = (),
    data: Document = EMPTY,
) -> Contribution:
    """Make a contribution; `recorded_at` is later than that of every earlier one of the item.

    Identifiers carry the id of the contribution that brings them: mint it first and give it to both.
    """
    members: dict[str, Any] = {
        "contribution_id": contribution_id or new_id(),
        "item": item,
        "workspace_id": workspace_id,
        "user_id": user_id,
        "source": source,
        "circuit_id": circuit_id,
        "merged_from": merged_from,
        "identifiers": tuple(identifiers),
        "removed_identifiers": tuple(removed_identifiers),
        "data": data,
        "recorded_at": recorded_at,
        "salt": new_salt(),
    }
    return Contribution(**members, hash=_hash(members))


def commits(contribution: Contribution) -> dict[str, str]:
    """Return the members by which the payload of an event commits a contribution (10.2)."""
    return {"contribution_id": contribution.contribution_id, "contribution_hash": contribution.hash}
