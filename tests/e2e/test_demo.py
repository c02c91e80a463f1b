"""`defarm demo` (platform.md 13.3; acceptance scenario 55)."""

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.process import COMMAND, PATIENCE, defarm, environment


def ask(address: str, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    try:
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, text
        return json.loads(text)
    finally:
        connection.close()


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A directory for temporary files with a short path, as a socket needs one."""
    with TemporaryDirectory(prefix="d") as folder:
        yield Path(folder)


@pytest.mark.parametrize("storage", ["memory", "postgres"])
def test_scenario_55_a_printed_user_signs_in_pushes_an_item_and_verifies_its_history(
    tmp_path: Path, scratch: Path, storage: str
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    begun = time.monotonic()
    variables = environment(TMPDIR=str(scratch), DATABASE_URL="postgresql://nobody@127.0.0.1:1/never")
    words = ["--json", "demo", "--port", "0", "--items", "12", "--storage", storage]
    out = tmp_path / "out"
    with out.open("wb") as stdout, (tmp_path / "err").open("wb") as stderr:
        process = subprocess.Popen([*COMMAND, *words], cwd=here, env=variables, stdout=stdout, stderr=stderr)
    try:
        while not (text := out.read_text()).endswith("}\n"):
            assert process.poll() is None and time.monotonic() < begun + PATIENCE, (tmp_path / "err").read_text()
            time.sleep(0.02)
        made = json.loads(text)
        signing = {"username": "ana", "password": made["passwords"]["ana"]}
        token = ask(made["address"], "POST", "/api/auth/login", signing)["access_token"]
        last = made["dfids"][-1]
        circuit = f"/api/circuits/{made['public_circuit']}"
        assert ask(made["address"], "POST", f"{circuit}/push/{last}", {}, token)["outcome"] == "placed"
        verified = ask(made["address"], "GET", f"/api/events/item/{last}/verify", token=token)
        assert verified["valid"] and verified["length"] >= 4
        waiting = ask(made["address"], "GET", f"/api/circuits/{made['approved_circuit']}/operations", token=token)
        assert "pending" in {one["status"] for one in waiting["items"]}
        shown = ask(made["address"], "GET", f"{circuit}/public/items")
        assert len(shown["items"]) == 5
        assert time.monotonic() < begun + 60
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)
    assert list(here.iterdir()) == []
    assert list(scratch.iterdir()) == []


def test_a_store_that_should_be_kept_does_not_replace_another(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("mine")
    refused = defarm(tmp_path, "demo", "--keep", "kept", "--port", "0")
    assert refused.returncode == 4
    assert "not empty" in refused.stderr
