"""Access tokens (platform.md 3.3, 17.9, 17.17)."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from application.tokens import AccessTokens, SignedTokens, TokenKeys
from domain.errors import Refusal
from domain.ids import new_id

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, UTC)
SECRET, OLD = b"s" * 32, b"o" * 32
USER, WORKSPACE, SESSION = new_id(), new_id(), new_id()


def access(current: bytes = SECRET, previous: bytes | None = None, audience: str = "defarm-api") -> AccessTokens:
    return AccessTokens(SignedTokens(TokenKeys(current, previous), "defarm", audience), timedelta(minutes=15))


def issue(tokens: AccessTokens, ends_at: datetime = NOW + timedelta(days=1)) -> str:
    return tokens.issue(
        user_id=USER,
        workspace_id=WORKSPACE,
        is_admin=True,
        session_id=SESSION,
        epoch=3,
        session_ends_at=ends_at,
        now=NOW,
    ).text


def refusal(token: str, tokens: AccessTokens | None = None, now: datetime = NOW) -> str:
    with pytest.raises(Refusal) as refused:
        (tokens or access()).verify(token, now)
    return refused.value.code


def forged(key: Any = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = jwt.decode(issue(access()), options={"verify_signature": False}) | changes
    payload = json.dumps({name: value for name, value in claims.items() if value is not None})
    return jwt.PyJWS().encode(payload.encode(), key, algorithm)


def test_a_token_says_what_it_was_issued_for():
    claims = access().verify(issue(access()), NOW)
    assert (claims.user_id, claims.workspace_id, claims.session_id) == (USER, WORKSPACE, SESSION)
    assert (claims.is_admin, claims.epoch) == (True, 3)
    assert claims.issued_at == NOW.replace(microsecond=0)
    assert claims.expires_at == NOW.replace(microsecond=0) + timedelta(minutes=15)


def test_all_claims_of_the_specification_and_no_others_are_in_it():
    claims = jwt.decode(issue(access()), options={"verify_signature": False})
    assert set(claims) == {"iss", "aud", "sub", "ws", "adm", "sid", "epoch", "jti", "iat", "exp"}
    assert jwt.get_unverified_header(issue(access()))["alg"] == "HS256"


def test_a_token_never_outlives_its_session():
    claims = access().verify(issue(access(), NOW + timedelta(minutes=2)), NOW)
    assert claims.expires_at == NOW.replace(microsecond=0) + timedelta(minutes=2)


def test_an_expired_token_is_told_so_after_a_leeway_of_five_seconds():
    token = issue(access())
    expired = NOW.replace(microsecond=0) + timedelta(minutes=15)
    assert access().verify(token, expired + timedelta(seconds=4.9)).user_id == USER
    assert refusal(token, now=expired + timedelta(seconds=5)) == "token_expired"


def test_expiry_is_told_only_when_nothing_else_is_wrong():
    late = NOW + timedelta(hours=1)
    assert refusal(forged(aud="other"), now=late) == "unauthenticated"
    assert refusal(forged(OLD), now=late) == "unauthenticated"
    assert refusal(forged(adm="yes"), now=late) == "unauthenticated"


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "ws", "adm", "sid", "epoch", "jti", "iat", "exp"])
@pytest.mark.parametrize("value", [None, "", "other", -1, 1.5, [], {}, [USER], 1e30, {"a": 1}])
def test_a_missing_or_odd_claim_is_refused(name, value):
    assert refusal(forged(**{name: value})) == "unauthenticated"


@pytest.mark.parametrize("name", ["iat", "exp"])
def test_an_instant_beyond_the_calendar_is_refused(name):
    assert refusal(forged(**{name: 10**30})) == refusal(forged(**{name: 253_402_300_800})) == "unauthenticated"


def test_a_number_is_no_bool_and_a_bool_no_number():
    assert refusal(forged(adm=1)) == refusal(forged(epoch=True)) == refusal(forged(exp=True)) == "unauthenticated"


def test_another_issuer_audience_or_key_is_refused():
    for token in (forged(iss="other"), forged(aud=["defarm-api"]), forged(aud="defarm-api/page"), forged(OLD)):
        assert refusal(token) == "unauthenticated"
    assert refusal(issue(access(audience="defarm-api/stream"))) == "unauthenticated"


def test_another_algorithm_is_refused():
    private = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    for token in (forged("", "none"), forged(private, "RS256"), forged(b"s" * 64, "HS512")):
        assert refusal(token) == "unauthenticated"
    assert refusal(forged(SECRET * 2, "HS384")) == "unauthenticated"


def test_a_changed_payload_or_signature_is_refused():
    head, payload, signature = issue(access()).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"adm": False}).encode()).rstrip(b"=").decode()
    assert refusal(f"{head}.{other}.{signature}") == "unauthenticated"
    assert refusal(f"{head}.{payload}.") == refusal(f"{head}.{payload}") == "unauthenticated"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "...",
        "é.é.é",
        "\ud800",
        "a" * 5000,
        base64.urlsafe_b64encode(b"[" * 2900).decode() + ".e30.AA",
        base64.urlsafe_b64encode(b"\xff\xff").decode() + ".e30.AA",
        base64.urlsafe_b64encode(b'{"alg":["HS256"]}').decode() + ".e30.AA",
        base64.urlsafe_b64encode(b'{"alg":"HS256","crit":["x"]}').decode() + ".e30.AA",
    ],
)
def test_rubbish_is_refused_and_never_a_fault_of_the_server(token):
    assert refusal(token) == "unauthenticated"


def test_a_token_over_four_kibibytes_is_refused_though_its_signature_is_right():
    small, large = forged(extra="x" * 2000), forged(extra="x" * 3000)
    assert (len(small) < 4096, len(large) > 4096) == (True, True)
    assert access().verify(small, NOW).user_id == USER
    assert refusal(large) == "unauthenticated"


def test_during_a_rotation_old_tokens_work_and_new_ones_carry_the_new_key():
    rotating = access(SECRET, OLD)
    assert rotating.verify(issue(access(OLD)), NOW).user_id == USER
    assert access(SECRET).verify(issue(rotating), NOW).user_id == USER
    assert refusal(issue(rotating), access(OLD)) == "unauthenticated"
    assert refusal(issue(access(b"x" * 32)), rotating) == "unauthenticated"


def test_neither_keys_nor_tokens_show_themselves():
    issued = access(SECRET, OLD).tokens.sign({}, NOW, NOW)
    assert issued.text not in repr(issued)
    assert SECRET.decode() not in repr(access(SECRET, OLD))
    assert OLD.decode() not in repr(access(SECRET, OLD))
