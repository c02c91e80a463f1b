"""What the chain of an item says of a contribution: names and no values, lists sorted (items-events.md 10.2)."""

from collections.abc import Iterable, Mapping

from domain.access.vocabulary import EventVisibility
from domain.document import EMPTY, Document
from domain.events.chain import EventDraft
from domain.events.values import EventType
from domain.items.contributions import commits
from domain.items.values import Contribution, Identifier


def named(identifiers: Iterable[Identifier]) -> list[dict[str, str | None]]:
    """Return the names of identifiers, sorted."""
    names = [{"namespace": one.namespace, "key": one.key, "kind": one.kind.value} for one in identifiers]
    return sorted(names, key=lambda name: (name["namespace"] or "", name["key"]))


def contributed(
    kind: EventType, contribution: Contribution, identifiers: Iterable[Identifier], more: Mapping[str, object]
) -> EventDraft:
    """Return the `created` or `enriched` event of a contribution; only its circuit sees what came through one."""
    through = contribution.circuit_id
    members: dict[str, object] = {
        "source": contribution.source.value,
        **commits(contribution),
        "identifiers": named(identifiers),
        "data_keys": sorted(contribution.data),
        **({"circuit_id": through} if through else {}),
        **more,
    }
    visibility = EventVisibility.CIRCUIT_ONLY if through else EventVisibility.PUBLIC
    return EventDraft(contribution.item, kind, visibility, Document(members), circuit_id=through)


def updated(
    contribution: Contribution,
    added: Iterable[Identifier] = (),
    removed: Iterable[Identifier] = (),
    data: Document = EMPTY,
    reason: str | None = None,
    evidence: str | None = None,
) -> EventDraft:
    """Return the `updated` event of a contribution; `evidence` is the level to which it raised what it added."""
    members: dict[str, object] = {
        **commits(contribution),
        "data_keys": sorted(key for key, value in data.items() if value is not None),
        "withdrawn_keys": sorted(key for key, value in data.items() if value is None),
        "added": named(added),
        "removed": named(removed),
        **({"evidence": evidence} if evidence else {}),
        **({"reason": reason} if reason else {}),
    }
    return EventDraft(contribution.item, EventType.UPDATED, EventVisibility.PUBLIC, Document(members))
