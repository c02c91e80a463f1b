"""A look at a deployment from outside: `python -m tests.deployment.smoke http://localhost:3000`.

Asked of a proxy, every request may reach another instance; of several addresses, they are taken in turns. What one
acknowledged, each must show. Leaves an account and a few items behind, under names of their own.
"""

import itertools
import json
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

ITEMS, LOOKS = 6, 6


class Smoke(AssertionError):
    """The deployment does not do what it must; the message says what was asked and answered."""


class Visitor:
    """Somebody who asks at each of the addresses in turns."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._turns = itertools.cycle(address.rstrip("/") for address in addresses)
        self._headers = {"content-type": "application/json"}

    def signed_in(self, token: str) -> None:
        self._headers["authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: Any = None, status: int = 200, version: int = 0) -> Any:
        """Return the body of an answer. Raises Smoke for another status."""
        data = None if body is None else json.dumps(body).encode()
        address = next(self._turns)
        match = {"if-match": f'"{version}"'} if version else {}
        request = urllib.request.Request(address + path, data, self._headers | match, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                found, text = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            found, text = refused.code, refused.read()
        if found != status:
            raise Smoke(f"{method} {address}{path} answered {found}: {text[:500].decode('utf-8', 'replace')}")
        return json.loads(text) if text else None


def smoke(addresses: Sequence[str]) -> list[str]:
    """Register, make items, change one, and see everything from everywhere at once. Returns the DFIDs."""
    visitor, name = Visitor(addresses), f"smoke-{secrets.token_hex(6)}"
    for _ in range(LOOKS):
        visitor.ask("GET", "/health/ready")
    account = {"username": name, "email": f"{name}@example.org", "password": secrets.token_urlsafe(18)}
    visitor.signed_in(visitor.ask("POST", "/api/auth/register", account, 201)["access_token"])
    made = []
    for number in range(ITEMS):
        lot = {"identifiers": [{"key": "lote", "value": f"{name}-{number}"}], "data": {"round": 0}}
        made.append(visitor.ask("POST", "/api/items", lot, 201)["dfid"])
        _shown(visitor, made[-1], 0)
    for turn in range(1, LOOKS):
        version = _shown(visitor, made[0], turn - 1)
        visitor.ask("PUT", f"/api/items/{made[0]}", {"data": {"round": turn}}, version=version)
        _shown(visitor, made[0], turn)
    for _ in range(LOOKS):
        listed = {item["dfid"] for item in visitor.ask("GET", "/api/items?limit=200")["items"]}
        if listed != set(made):
            raise Smoke(f"a list shows {sorted(listed)} instead of {made}")
    return made


def _shown(visitor: Visitor, dfid: str, turn: int) -> int:
    """See an item several times, each time as it was written last; return its version."""
    versions = set()
    for _ in range(LOOKS):
        item = visitor.ask("GET", f"/api/items/{dfid}")
        if item["data"]["round"] != turn:
            raise Smoke(f"{dfid} is shown as of round {item['data']['round']}, {turn} was acknowledged")
        versions.add(item["version"])
    [version] = versions
    return int(version)


if __name__ == "__main__":
    sys.stdout.write(f"{len(smoke(sys.argv[1:]))} items are seen by everybody.\n")
