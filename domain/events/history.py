"""A chain together with the contributions it commits (items-events.md 10.6)."""

from collections.abc import Iterable, Iterator, Sequence

from domain.document import Document
from domain.events.chain import ChainFault, faults, is_erased
from domain.events.values import ChainHead, Event, EventType
from domain.items.contributions import contribution_hash
from domain.items.values import Contribution

_FREE = frozenset({EventType.RECORDED, EventType.CERTIFIED})
"""Types whose payload is the author's: what it says of contributions commits nothing."""


def first_fault(
    events: Sequence[Event], head: ChainHead | None, contributions: Iterable[Contribution]
) -> tuple[int, ChainFault] | None:
    """Return the fault at the lowest position of an item's chain, given in order of position, or None."""
    found = [*faults(events, head), *contribution_faults(events, contributions)]
    return min(found, key=lambda fault: fault[0], default=None)


def contribution_faults(
    events: Sequence[Event], contributions: Iterable[Contribution]
) -> Iterator[tuple[int, ChainFault]]:
    """Yield (position, fault) for each event whose contribution is missing, changed or committed twice, and the
    end of the chain for contributions that no event commits, as far as erased events cannot explain them."""
    uncommitted = {contribution.contribution_id: contribution for contribution in contributions}
    for place, event in enumerate(events, start=1):
        if not commits(event) or event.payload is None:
            continue
        contribution = uncommitted.pop(event.payload["contribution_id"], None)
        if contribution is None or not _agrees(event.payload, contribution):
            yield place, ChainFault.CONTRIBUTION
    erased = [event for event in events if is_erased(event) and event.event_type not in _FREE]
    if len(uncommitted) > len(erased):
        yield len(events), ChainFault.CONTRIBUTION


def commits(event: Event) -> bool:
    """Tell whether an event commits a contribution, which its payload names."""
    return event.payload is not None and event.event_type not in _FREE and "contribution_id" in event.payload


def _agrees(payload: Document, contribution: Contribution) -> bool:
    # An erased contribution keeps its hash, which can no longer be recomputed.
    recomputes = contribution.salt is None or contribution_hash(contribution) == contribution.hash
    return recomputes and payload.get("contribution_hash") == contribution.hash
