"""Tokenisation: a draft becomes an item, or part of one, when it is pushed (items-events.md 6.13)."""

import attrs

from domain.items.register import Register
from domain.items.resolution import Conflict, Contribute, Hit, New, resolve
from domain.items.submission import Content
from domain.items.values import Alias, ContributionSource, Item, Outcome


@attrs.frozen
class Tokenised:
    """The item a draft became or joined; `contributed` when it belongs to another workspace."""

    item: Item
    outcome: Outcome
    contributed: bool = False


def tokenise(
    register: Register,
    draft: Item,
    content: Content,
    *,
    circuit_id: str | None,
    circuit_items: frozenset[str] = frozenset(),
    same_fingerprint: Item | None = None,
    source: ContributionSource = ContributionSource.PUSH_LOCAL,
) -> Tokenised | Conflict:
    """Resolve the content of a draft and stage what follows in the register; the draft is consumed.

    `circuit_items` are the DFIDs in the circuit of the push, as far as the register knows of them;
    `same_fingerprint` is the item that the circuit knows by the same contextual set, when nothing else is hit. On
    a Conflict nothing is staged. Raises Invalid beyond the bounds of an item.
    """
    assert draft.local_id is not None
    resolution = resolve(register, content, register.act.workspace_id, circuit_items)
    if isinstance(resolution, New) and same_fingerprint is not None:
        own = same_fingerprint.workspace_id == register.act.workspace_id
        resolution = Hit(same_fingerprint) if own else Contribute(same_fingerprint)
    lid = Alias("lid", draft.local_id, register.act.workspace_id, register.act.now)
    match resolution:
        case New():
            item = register.create(content, source, local_id=draft.local_id, aliases=(lid,))
            result = Tokenised(item, Outcome.CREATED)
        case Hit(item):
            changed = register.enrich(item, content, source, aliases=(lid,))
            result = Tokenised(changed or item, Outcome.ENRICHED if changed else Outcome.UNCHANGED)
        case Contribute(item):
            changed = register.enrich(item, content, source, circuit_id=circuit_id, aliases=(lid,))
            result = Tokenised(changed or item, Outcome.ENRICHED if changed else Outcome.UNCHANGED, contributed=True)
        case Conflict():
            return resolution
    register.consume(draft, result.item.key)
    return result
