"""The main job on a machine with nothing set: import real data, share it, read it as another member, verify it,
lose the process in the middle of an import, and find exactly what was acknowledged."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.engine import EngineProcess

SICAR = Path(__file__).parents[1] / "data" / "sicar"
MAPPING = ("--map", "cod_imovel=id:car", "--map", "FID=ignore", "--map", "area=data:area_ha:number")
PROPERTIES = 20
LOTS = 4_000
"""Rows of the file in which the engine is killed, which it stores by the thousand."""
NDJSON = "application/x-ndjson"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path) as process:
        yield process


def test_published_properties_are_imported_shared_read_verified_and_survive_a_kill(engine: EngineProcess) -> None:
    """Its end is scenario 39 of items-events.md: killed in the middle and repeated, an import is as if nothing was."""
    ana, rui = engine.register("ana"), engine.register("rui")
    for name in ("imoveis-df.csv", "imoveis-mt-sorriso.csv"):
        run = engine.run("import", str(SICAR / name), "--as", "ana", *MAPPING)
        assert run.returncode == 0, run.stderr + run.stdout
    items = engine.every("/api/items", ana)
    assert len(items) == PROPERTIES
    again = engine.run("import", str(SICAR / "imoveis-df.csv"), "--as", "ana", *MAPPING)
    assert again.returncode == 0
    assert engine.every("/api/items", ana) == items

    circuit = engine.call("POST", "/api/circuits", {"name": "Propriedades"}, ana).body["circuit_id"]
    elements = [{"dfid": item["dfid"]} for item in items]
    pushed = engine.call("POST", f"/api/circuits/{circuit}/push/batch", {"items": elements}, ana)
    assert (pushed.status, pushed.body["counts"]["placed"]) == (200, PROPERTIES)
    assert engine.call("GET", f"/api/items/{items[0]['dfid']}", token=rui).status == 404
    joined = engine.call("POST", f"/api/circuits/{circuit}/members", {"username": "rui", "role": "member"}, ana)
    assert joined.status == 201

    seen = engine.every(f"/api/items?access=circuit&circuit_id={circuit}", rui)
    assert {item["dfid"] for item in seen} == {item["dfid"] for item in items}
    for item in items:
        verified = engine.call("GET", f"/api/events/item/{item['dfid']}/verify", token=rui).body
        assert (verified["valid"], verified["length"]) == (True, 2)

    acknowledged = kill_in_the_middle_of_an_import(engine, ana)
    engine.start()
    examined = engine.run("doctor", "--only", "invariants")
    assert examined.returncode == 0, examined.stdout
    assert engine.every("/api/items?access=own&status=active", ana)[-PROPERTIES:] == items
    after = {item["identifiers"][0]["value"] for item in engine.every("/api/items?q=durable", ana)}
    assert acknowledged <= after
    imports = engine.every("/api/items/imports", ana)
    stored = {
        row["dfid"] for one in imports for row in engine.every(f"/api/items/imports/{one['import_id']}/rows", ana)
    }
    assert len(after) % 1000 == 0
    assert len(stored) == len(after) + PROPERTIES
    repeated = engine.call("POST", "/api/items/import", token=ana, content=numbered(LOTS), kind=NDJSON)
    assert repeated.body["counts"]["unchanged"] == len(after)
    assert repeated.body["counts"]["created"] == LOTS - len(after)
    uninterrupted = engine.call("POST", "/api/items/import", token=rui, content=numbered(LOTS), kind=NDJSON)
    assert uninterrupted.body["counts"]["created"] == LOTS
    assert imported(engine, ana) == imported(engine, rui)


def imported(engine: EngineProcess, token: str) -> dict[str, Any]:
    """Return what an import made of its file, by the numbers in it, without what differs between any two imports."""
    own = ("dfid", "workspace_id", "created_by", "created_at", "updated_at", "fingerprint")
    found = {}
    for item in engine.every("/api/items?q=durable", token):
        (number,) = item["identifiers"]
        kept = {name: value for name, value in item.items() if name not in own}
        found[number["value"]] = kept | {"identifiers": number | {"added_by": None}}
    return found


def numbered(rows: int) -> bytes:
    """Return an NDJSON file of that many lots."""
    line = b'{"identifiers":[{"key":"lote","value":"%d"}],"data":{"note":"durable"}}\n'
    return b"".join(line % number for number in range(1, rows + 1))


def kill_in_the_middle_of_an_import(engine: EngineProcess, token: str) -> set[str]:
    """Kill the engine while it reads a file, and return the numbers it had shown as stored before."""
    shown: set[str] = set()

    def upload() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": NDJSON}
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("POST", "/api/items/import", numbered(LOTS), headers)
            connection.getresponse()

    sender = threading.Thread(target=upload)
    sender.start()
    deadline = time.monotonic() + 60
    while len(shown) < 200 and time.monotonic() < deadline:
        page = engine.call("GET", "/api/items?q=durable&limit=200", token=token).body["items"]
        shown |= {item["identifiers"][0]["value"] for item in page}
    engine.kill()
    sender.join()
    assert shown
    return shown


def test_what_was_registered_is_there_after_a_stop_in_order(engine: EngineProcess) -> None:
    token = engine.register("ana")
    body = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}], "data": {"raça": "Nelore"}}
    made = engine.call("POST", "/api/items", body, token)
    assert made.status == 201
    assert engine.stop() == 0
    engine.start()
    read = engine.call("GET", made.headers["location"], token=token)
    assert read.body == {key: value for key, value in made.body.items() if key not in {"outcome", "warnings"}}
