"""Ten times as many as the server takes: everybody is answered, and it is itself again at once (http.md 13, 18)."""

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.client import request
from tests.benchmarks.overload import AFTER, CROWD, overload, told
from tests.e2e.process import Served

IN_FLIGHT = 16
SECONDS = 3.0
"""`python -m tests.benchmarks --only overload` offers it for a minute, at the bound that servers have."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    variables = {"DEFARM_MAX_IN_FLIGHT": str(IN_FLIGHT), "DEFARM_LIMIT_USER": "off", "DEFARM_LOG_LEVEL": "warning"}
    with Served(tmp_path / "engine", **variables) as served:
        yield served.ready()


def made(server: Served, path: str, body: Any, token: str = "") -> Any:
    sent = {"authorization": f"Bearer {token}"} if token else {}
    answer = server.ask(path, "POST", body, **sent)
    assert answer.status == 201, answer
    return answer.body


def test_law_17_a_crowd_is_answered_with_2xx_and_503_and_leaves_nothing_behind(server: Served) -> None:
    account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
    token = made(server, "/api/auth/register", account)["access_token"]
    lot = {"identifiers": [{"key": "lote", "value": "crowd"}]}
    dfid = made(server, "/api/items", lot, token)["dfid"]
    read = request("GET", f"/api/items/{dfid}", token)
    kinds = (read, request("GET", "/api/items?limit=20", token), request("POST", "/api/items", token, lot))
    address = f"http://127.0.0.1:{server.port}"
    found = overload(address, server.process.pid, lambda: cycle(kinds), read, IN_FLIGHT, SECONDS)
    crowd = found.crowd
    assert set(crowd.statuses) in ({200, 201, 503}, {200, 503}), told(found)
    assert not crowd.lost and not crowd.silent, told(found)
    assert crowd.statuses[503] > CROWD * IN_FLIGHT, told(found)
    assert found.first_after < AFTER, told(found)
    assert found.after.failed == 0, told(found)
    assert server.end() == 0
