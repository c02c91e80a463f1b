"""When two JSON values are the same (items-events.md 1.1)."""

from itertools import product

from domain.access.vocabulary import ItemStatus
from domain.canonical import canonical
from domain.document import Document, alike
from domain.items.draft_merges import Group
from domain.items.lineage import appended
from domain.items.values import Item
from tests.unit.items.test_fold import START

VALUES = (None, True, False, 0, -0.0, 1, 1.0, 1.5, "1", "", (), (1,), (True,), (1, 0), Document(), Document(a=1))
NESTED = (Document(a=True), Document(a=(1, Document(b=False))), Document(a=(1.0, Document(b=0))), Document(b=1))


def test_values_are_the_same_exactly_when_their_canonical_forms_are() -> None:
    for one, other in product((*VALUES, *NESTED), repeat=2):
        assert alike(one, other) is (canonical(one) == canonical(other)), (one, other)


def test_a_union_keeps_what_only_looks_equal() -> None:
    assert appended((1, "a"), (True, 1.0, "a")) == (1, "a", True)
    assert appended((1, "a"), (True, 1.0, "a"))[2] is True


def test_drafts_differ_where_their_values_do() -> None:
    said = (Document(a=1, b=(True,), c=2), Document(a=1.0, b=(1,), c=2))
    drafts = (Item(None, "L", "owner", "u", ItemStatus.LOCAL, (), data, START, START) for data in said)
    assert Group(tuple(drafts), ()).differing_keys == ("b",)
