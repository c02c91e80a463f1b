"""Signed tokens: JWT, HS256 and nothing else (platform.md 3.3)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import attrs
import jwt
from jwt.types import Options

from domain.errors import Refusal
from domain.ids import new_id, parse_id

LONGEST = 4096
VERIFIED = 4096
"""Access tokens whose verified claims a process remembers."""
LEEWAY = timedelta(seconds=5)

_LAST_INSTANT = 253_402_300_799
_OPTIONS: Options = {
    "require": ["iss", "aud", "iat", "exp"],
    "strict_aud": True,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@attrs.frozen
class AccessClaims:
    """What an access token says. Only the store knows whether it is still true."""

    user_id: str
    workspace_id: str
    is_admin: bool
    session_id: str
    epoch: int
    token_id: str
    issued_at: datetime
    expires_at: datetime


@attrs.frozen
class IssuedToken:
    text: str = attrs.field(repr=False)
    expires_at: datetime


class Forged(Refusal):
    """A token that somebody else signed, or that claims another algorithm; on the wire as any other invalid one."""

    def __init__(self) -> None:
        super().__init__("unauthenticated", "The credential is not valid.")


@attrs.frozen
class TokenKeys:
    """JWT_SECRET, and DEFARM_JWT_SECRET_PREVIOUS while it rotates."""

    current: bytes = attrs.field(repr=False)
    previous: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class SignedTokens:
    """Signs and reads the claims of one audience. Time is told, so that one clock decides."""

    keys: TokenKeys
    issuer: str
    audience: str

    def sign(self, claims: Mapping[str, Any], now: datetime, expires_at: datetime) -> IssuedToken:
        """Return a token with `claims` and the registered ones; both instants are cut to whole seconds."""
        payload = {
            **claims,
            "iss": self.issuer,
            "aud": self.audience,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        text = jwt.encode(payload, self.keys.current, algorithm="HS256")
        return IssuedToken(text, _instant(payload["exp"]))

    def read(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that this deployment signed for this audience, its time not yet judged.

        Raises Refusal `unauthenticated` for anything else, Forged when somebody else signed it; a token over
        4 KiB is not looked at.
        """
        if len(token) > LONGEST or not token.isascii():
            raise _unauthenticated()
        claims = self._decoded(token)
        if not (_is_time(claims["iat"]) and _is_time(claims["exp"])):
            raise _unauthenticated()
        return claims

    def _decoded(self, token: str) -> dict[str, Any]:
        refusal: Refusal = Forged()
        for key in (self.keys.current, self.keys.previous):
            if key is None:
                break
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=["HS256"],
                    issuer=self.issuer,
                    audience=self.audience,
                    options=_OPTIONS,
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.InvalidAlgorithmError:
                break
            except jwt.PyJWTError:
                refusal = _unauthenticated()
                break
        raise refusal


@attrs.frozen
class AccessTokens:
    """Issues and verifies access tokens of `ttl` life."""

    tokens: SignedTokens
    ttl: timedelta
    _read: Callable[[str], AccessClaims] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # A signature that was right stays right; time and standing are judged on every use.
        read = lru_cache(VERIFIED)(lambda token: _access_claims(self.tokens.read(token)))
        object.__setattr__(self, "_read", read)

    def issue(
        self,
        *,
        user_id: str,
        workspace_id: str,
        is_admin: bool,
        session_id: str,
        epoch: int,
        session_ends_at: datetime,
        now: datetime,
    ) -> IssuedToken:
        """Return a fresh token; it never outlives the session."""
        claims = {
            "sub": user_id,
            "ws": workspace_id,
            "adm": is_admin,
            "sid": session_id,
            "epoch": epoch,
            "jti": new_id(),
        }
        return self.tokens.sign(claims, now, min(now + self.ttl, session_ends_at))

    def verify(self, token: str, now: datetime) -> AccessClaims:
        """Return what a token says, if this deployment signed it and its time is not over (leeway 5 s).

        Raises Refusal `token_expired` when only `exp` fails, `unauthenticated` for everything else.
        """
        claims = self._read(token)
        require_unexpired(claims.expires_at, now)
        return claims


def require_unexpired(expires_at: datetime, now: datetime) -> None:
    """Raise Refusal `token_expired` once `now` has reached `expires_at` and the leeway."""
    if now >= expires_at + LEEWAY:
        raise Refusal("token_expired", "The access token has expired.")


def _access_claims(claims: Mapping[str, Any]) -> AccessClaims:
    ids = [claims.get(name) for name in ("sub", "ws", "sid", "jti")]
    is_admin, epoch = claims.get("adm"), claims.get("epoch")
    if not all(isinstance(each, str) and parse_id(each) == each for each in ids):
        raise _unauthenticated()
    if not isinstance(is_admin, bool) or not _is_count(epoch):
        raise _unauthenticated()
    user_id, workspace_id, session_id, token_id = map(str, ids)
    return AccessClaims(
        user_id=user_id,
        workspace_id=workspace_id,
        is_admin=is_admin,
        session_id=session_id,
        epoch=int(epoch or 0),
        token_id=token_id,
        issued_at=_instant(claims["iat"]),
        expires_at=_instant(claims["exp"]),
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_time(value: Any) -> bool:
    return _is_count(value) and value <= _LAST_INSTANT


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _unauthenticated() -> Refusal:
    return Refusal("unauthenticated", "The credential is not valid.")
