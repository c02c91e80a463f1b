"""What the chain of an item says of a contribution: names and no values, lists sorted (items-events.md 10.2)."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import itemgetter

from domain.access.vocabulary import EventVisibility
from domain.document import EMPTY, Document
from domain.events.chain import EventDraft
from domain.events.values import EventType
from domain.identifiers import IdentifierKind
from domain.items.contributions import commits
from domain.items.values import Contribution, Identifier


def named(identifiers: Iterable[Identifier]) -> tuple[Document, ...]:
    """Return the names of identifiers, sorted."""
    return _named(tuple([(one.namespace or "", one.key, one.kind, one.namespace) for one in identifiers]))


@lru_cache(256)
def _named(names: tuple[tuple[str, str, IdentifierKind, str | None], ...]) -> tuple[Document, ...]:
    # The elements of a batch are named alike.
    return tuple(
        Document(namespace=namespace, key=key, kind=kind.value)
        for _, key, kind, namespace in sorted(names, key=itemgetter(0, 1))
    )


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
