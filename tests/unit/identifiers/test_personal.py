"""Personal numbers are indexed and sealed under the store's data key (identifiers.md 6)."""

import pytest

from domain.identifiers.personal import (
    DataKeyLocked,
    IdentifierKeys,
    SealBroken,
    new_data_key,
    unwrap_data_key,
    wrap_data_key,
)

DATA_KEY = bytes(range(32))
ROW = ("DF-1", "generic", "cpf")


@pytest.fixture
def keys():
    return IdentifierKeys(DATA_KEY)


def test_the_lookup_of_the_document_comes_out(keys):
    expected = "5bb65f29559eb4d38420443aafcc6f74286509bd9d50ffd2659b2100514cbd7f"
    assert keys.lookup("cpf", "52998224725") == expected


def test_another_data_key_or_type_gives_another_lookup(keys):
    one = keys.lookup("cpf", "52998224725")
    assert one != keys.lookup("cnpj", "52998224725")
    assert one != IdentifierKeys(bytes(32)).lookup("cpf", "52998224725")


def test_a_sealed_value_opens_in_its_row_and_shows_nothing(keys):
    sealed = keys.seal(*ROW, "529.982.247-25")
    assert keys.open(*ROW, sealed) == "529.982.247-25"
    assert sealed.startswith("v1.") and "=" not in sealed and "529" not in repr(keys)
    assert sealed != keys.seal(*ROW, "529.982.247-25")


def test_a_draft_without_namespace_is_a_row_of_its_own(keys):
    sealed = keys.seal("lid", None, "cpf", "ç")
    assert keys.open("lid", None, "cpf", sealed) == "ç"
    with pytest.raises(SealBroken):
        keys.open("lid", "generic", "cpf", sealed)


@pytest.mark.parametrize("row", [("DF-2", "generic", "cpf"), ("DF-1", "bovino", "cpf"), ("DF-1", "generic", "rg")])
def test_a_seal_moved_to_another_row_does_not_open(keys, row):
    with pytest.raises(SealBroken):
        keys.open(*row, keys.seal(*ROW, "52998224725"))


@pytest.mark.parametrize(
    "spoil", [lambda s: s[:-4] + "AAAA", lambda s: s[3:], lambda s: "v1.", lambda s: "v1.é", str.upper]
)
def test_a_seal_that_was_changed_does_not_open(keys, spoil):
    with pytest.raises(SealBroken):
        keys.open(*ROW, spoil(keys.seal(*ROW, "52998224725")))


def test_another_store_does_not_open_a_seal(keys):
    with pytest.raises(SealBroken):
        IdentifierKeys(new_data_key()).open(*ROW, keys.seal(*ROW, "52998224725"))


def test_a_new_root_key_wraps_the_same_data_key_again():
    data_key = new_data_key()
    wrapped = wrap_data_key(b"old root", data_key)
    rewrapped = wrap_data_key(b"new root", unwrap_data_key(b"old root", wrapped))
    assert rewrapped != wrapped
    assert unwrap_data_key(b"new root", rewrapped) == data_key


def test_a_wrong_root_key_is_named():
    with pytest.raises(DataKeyLocked, match="DEFARM_SECRET_KEY"):
        unwrap_data_key(b"other", wrap_data_key(b"root", DATA_KEY))


def test_a_data_key_has_32_bytes():
    with pytest.raises(ValueError, match="32"):
        IdentifierKeys(b"short")
