"""Opaque secrets (platform.md 1.2, 12.3, 17.27)."""

import hashlib
import hmac

import pytest

from application.secrets import ALPHABET, Peppers, SecretKind, checksum, derive_key, mint, parse

ROOT, OLD = b"r" * 32, b"o" * 32
VECTORS = [
    "dfm_0000000000000000000000000000000000000000" + "2NB7do",
    "dfm_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd" + "15ABll",
    "dfr_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd" + "4PN0Wq",
]


@pytest.mark.parametrize("text", VECTORS)
def test_the_published_vectors_hold(text):
    secret = parse(text)
    assert secret is not None
    assert secret.text == text
    assert checksum(text[:-6]) == text[-6:]


@pytest.mark.parametrize(("kind", "prefix"), [*zip(SecretKind, ["dfm_", "dfr_", "dfi_", "dfp_", "dfs_"], strict=True)])
def test_what_is_minted_parses_as_its_kind_and_no_other(kind, prefix):
    secret = mint(kind)
    assert secret.text.startswith(prefix)
    assert len(secret.text) == 50
    assert parse(secret.text) == parse(secret.text, kind) == secret
    assert all(parse(secret.text, other) is None for other in SecretKind if other is not kind)
    assert mint(kind) != secret


@pytest.mark.parametrize("place", range(50))
def test_a_secret_with_any_one_character_changed_is_none(place):
    text = VECTORS[1]
    for other in {*ALPHABET, "-", "é", " "} - {text[place]}:
        assert parse(text[:place] + other + text[place + 1 :], SecretKind.API_KEY) is None


@pytest.mark.parametrize(
    "text", ["", "dfm_", VECTORS[0][:-1], VECTORS[0] + "0", " " + VECTORS[0], "Dfm_" + VECTORS[0][4:]]
)
def test_a_wrong_length_or_prefix_is_none(text):
    assert parse(text) is None


@pytest.mark.parametrize("length", [0, 39, 41])
def test_a_wrong_length_is_none_though_the_checksum_is_right(length):
    text = "dfm_" + "0" * length
    assert parse(text + checksum(text)) is None


def test_a_secret_does_not_show_itself():
    secret = mint(SecretKind.API_KEY)
    assert secret.text not in repr(secret)
    assert ROOT.decode() not in repr(Peppers.of(ROOT, OLD))


def test_the_stored_form_is_the_hmac_of_the_whole_secret_under_the_pepper_of_its_kind():
    secret = parse(VECTORS[0])
    pepper = derive_key(ROOT, "defarm/api_key")
    forms = Peppers.of(ROOT).stored(secret)
    assert forms.all == (hmac.new(pepper, VECTORS[0].encode(), hashlib.sha256).hexdigest(),)


def test_derivation_is_hkdf_sha_256_without_salt():
    pseudorandom = hmac.new(bytes(32), ROOT, hashlib.sha256).digest()
    assert derive_key(ROOT, "x") == hmac.new(pseudorandom, b"x\x01", hashlib.sha256).digest()


def test_during_a_rotation_the_form_under_the_previous_root_key_is_tried_second():
    secret = mint(SecretKind.REFRESH)
    forms = Peppers.of(ROOT, OLD).stored(secret)
    assert forms.all == (Peppers.of(ROOT).stored(secret).current, Peppers.of(OLD).stored(secret).current)


def test_one_body_under_two_prefixes_is_stored_under_two_keys():
    peppers = Peppers.of(ROOT)
    assert len({peppers.current[kind] for kind in SecretKind}) == len(SecretKind)


def test_the_setup_token_of_a_store_is_the_same_everywhere_and_well_formed():
    token = Peppers.of(ROOT).setup_token(b"seed")
    assert token == Peppers.of(ROOT, OLD).setup_token(b"seed") == parse(token.text, SecretKind.SETUP)
    assert token != Peppers.of(ROOT).setup_token(b"other")
    assert token != Peppers.of(OLD).setup_token(b"seed")
