"""Personal identifiers: nobody but those entitled sees or finds them (identifiers.md 6)."""

import pytest

from application.items import CreateDraft, ItemOutcome, ItemSearch
from application.items.reading import refuse_personal_in_url
from application.items.requests import ItemAccess, SoughtIdentifier
from domain.errors import Refusal
from domain.items.submission import IdentifierInput
from domain.ports.schema import FACETS, ITEMS
from tests.application.items.conftest import Farm, submission

CPF = "529.982.247-25"
SPELLINGS = ("52998224725", "529.982.247-25")


def sought(access: ItemAccess = ItemAccess.OWN) -> ItemSearch:
    return ItemSearch(access=access, identifiers=(SoughtIdentifier("cpf", SPELLINGS[0]),))


async def test_6_both_animals_of_one_person_are_found_in_their_own_workspace_only(farm: Farm) -> None:
    for number in ("076000000000001", "076000000000002"):
        await farm.items.create(farm.ana, submission(("sisbov", number), ("cpf", CPF)))
    assert len((await farm.items.page(farm.ana, sought())).items) == 2
    assert (await farm.items.page(farm.rui, sought(ItemAccess.ALL))).items == ()


async def test_a_clear_value_stands_in_no_row_of_any_facet(farm: Farm) -> None:
    await farm.items.create(farm.ana, submission(("sisbov", "076000000000001"), ("cpf", CPF)))
    await farm.items.create_draft(farm.ana, CreateDraft(identifiers=(IdentifierInput("cpf", CPF),)))
    with pytest.raises(Refusal, match="identifier_claimed"):
        await farm.items.create(farm.rui, submission(("sisbov", "076000000000001"), ("cpf", CPF)))
    stored = repr([await farm.rows(facet) for facet in FACETS])
    assert not [spelling for spelling in SPELLINGS if spelling in stored]
    assert "***.***.247-**" in stored


async def test_the_owner_reads_it_in_clear(farm: Farm) -> None:
    made = await farm.items.create(farm.ana, submission(("sisbov", "076000000000001"), ("cpf", CPF)))
    assert isinstance(made, ItemOutcome)
    shown = {identifier.key: identifier for identifier in made.item.identifiers}["cpf"]
    assert (shown.value, shown.normalised, shown.masked) == (CPF, SPELLINGS[0], False)


async def test_words_of_a_personal_identifier_find_nothing(farm: Farm) -> None:
    await farm.items.create(farm.ana, submission(("sisbov", "076000000000001"), ("cpf", CPF)))
    assert (await farm.items.page(farm.ana, ItemSearch(q="529"))).items == ()
    assert len(await farm.rows(ITEMS)) == 1


def test_9_a_personal_key_in_a_url_is_refused() -> None:
    with pytest.raises(Refusal, match="personal_identifier_in_url"):
        refuse_personal_in_url("CPF")
