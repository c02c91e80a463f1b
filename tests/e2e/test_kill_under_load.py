"""SIGKILL at random points while several clients write: what was acknowledged is there, and all invariants hold.

`KILLS` says how often the engine is killed; each takes some seconds.
"""

import http.client
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineProcess

KILLS = int(os.environ.get("KILLS", "2"))
CLIENTS = 3


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path) as process:
        yield process


class Client(threading.Thread):
    """Registers animals, tokenises drafts, records events and withdraws, until the engine is gone."""

    def __init__(self, engine: EngineProcess, token: str, circuit: str, seed: int) -> None:
        super().__init__()
        self.engine, self.token, self.circuit = engine, token, circuit
        self.chance = random.Random(seed)
        self.acknowledged: list[str] = []

    def run(self) -> None:
        while True:
            try:
                self._one()
            except (OSError, ValueError, http.client.HTTPException):
                return

    def _one(self) -> None:
        number = self.chance.randrange(1, 10**6)
        tag = {"identifiers": [{"key": "sisbov", "value": f"076{number:012d}"}]}
        if self.chance.random() < 0.5:
            made = self._call("/api/items", tag)
        else:
            draft = self._call("/api/items/local", tag)
            made = self._call(f"{self.circuit}/push-local", {"local_id": draft.get("local_id")})
        dfid = made.get("dfid")
        if dfid is None:
            return
        self.acknowledged.append(dfid)
        self._call(f"{self.circuit}/push/{dfid}", {})
        self._call("/api/events", {"dfid": dfid, "category": "weighing", "payload": {"kg": number}})
        if self.chance.random() < 0.3:
            self._call(f"{self.circuit}/withdraw/{dfid}", {})

    def _call(self, path: str, body: Any) -> dict[str, Any]:
        reply = self.engine.call("POST", path, body, self.token)
        return reply.body if reply.status < 300 and isinstance(reply.body, dict) else {}


def test_a_kill_at_any_moment_under_load_breaks_no_invariant(engine: EngineProcess) -> None:
    chance = random.Random()
    tokens = [engine.register(name) for name in ("ana", "bia", "rui")]
    circuit = f"/api/circuits/{engine.call('POST', '/api/circuits', {'name': 'C'}, tokens[0]).body['circuit_id']}"
    for name in ("bia", "rui"):
        engine.call("POST", f"{circuit}/members", {"username": name, "role": "member"}, tokens[0])
    kept: dict[str, str] = {}
    for kill in range(KILLS):
        clients = [Client(engine, token, circuit, 100 * kill + n) for n, token in enumerate(tokens)]
        for client in clients:
            client.start()
        time.sleep(chance.uniform(0.5, 2.0))
        engine.kill()
        for client in clients:
            client.join()
            kept |= dict.fromkeys(client.acknowledged, client.token)
        engine.start()
        for dfid, token in kept.items():
            assert engine.call("GET", f"/api/items/{dfid}", token=token).status == 200, dfid
        examined = engine.run("doctor", "--only", "invariants")
        assert examined.returncode == 0, examined.stdout + examined.stderr
    assert kept
