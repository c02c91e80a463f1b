"""Personal numbers over the life of a store, and on a public page (identifiers.md 10)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from dependency_injector import providers

from adapters.memory.storage import MemoryBackend, MemoryStorage
from application.settings import load
from container import Container, opened
from domain.ports.backing import StoreRefused
from tests.http.accounts.conftest import OPTIONS, client_of
from tests.http.accounts.test_routes import bearer, register
from tests.http.circuits.conftest import Region, region

__all__ = ["region"]

CPF, CNPJ = "529.982.247-25", "12.ABC.345/01DE-35"
CAR = "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47"
OLD, NEW = OPTIONS["DEFARM_SECRET_KEY"], "another root key of the tests!!!"


@asynccontextmanager
async def started(backend: MemoryBackend, folder: Path, root: str, previous: str = "") -> AsyncIterator[Container]:
    """A process that starts on a store."""
    rotated = {"DEFARM_SECRET_KEY_PREVIOUS": previous} if previous else {}
    named = {"DEFARM_DATA_DIR": str(folder), "DEFARM_SECRET_KEY": root}
    made = Container(settings=load({}, options=OPTIONS | named | rotated))
    made.memory_storage.override(providers.Object(MemoryStorage(backend)))
    async with opened(made) as ready:
        yield ready


async def found(client: httpx.AsyncClient, token: dict[str, str]) -> list[str]:
    sought = {"identifiers": [{"key": "cpf", "value": "52998224725"}]}
    answer = await client.post("/api/items/search", json=sought, headers=token)
    return [item["dfid"] for item in answer.json()["items"]]


async def test_scenario_7_lookups_hit_after_restarts_and_under_a_new_root_key(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with started(backend, tmp_path, OLD) as first, client_of(first) as client:
        token = bearer(await register(client))
        body = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}, {"key": "cpf", "value": CPF}]}
        dfid = (await client.post("/api/items", json=body, headers=token)).json()["dfid"]
        async with started(backend, tmp_path, OLD) as second, client_of(second) as other:
            assert await found(other, token) == await found(client, token) == [dfid]
    for root, previous in ((OLD, ""), (NEW, OLD), (NEW, "")):
        async with started(backend, tmp_path, root, previous) as again, client_of(again) as client:
            assert await found(client, token) == [dfid]
            shown = (await client.get(f"/api/items/{dfid}", headers=token)).json()["identifiers"]
            assert CPF in [each["value"] for each in shown]
    with pytest.raises(StoreRefused, match="DEFARM_SECRET_KEY"):
        async with started(backend, tmp_path, OLD):
            pass


async def test_scenario_8_a_page_masks_a_firm_and_a_farm_and_holds_no_person(region: Region) -> None:
    client = region.ana.client
    numbers = {"sisbov": "076000000000001", "cnpj": CNPJ, "car": CAR, "cpf": CPF}
    body = {"identifiers": [{"key": key, "value": value} for key, value in numbers.items()]}
    dfid = (await client.post("/api/items", json=body)).json()["dfid"]
    path = await region.circuit(allow_public_visibility=True)
    await client.post(f"{path}/push/{dfid}")
    assert (await client.put(f"{path}/items/{dfid}/publication")).status_code == 204
    async with httpx.AsyncClient(transport=client._transport, base_url="http://engine") as visitor:
        item = (await visitor.get(f"{path}/public/items/{dfid}")).json()
        shown = {each["key"]: (each["value"], each["masked"]) for each in item["identifiers"]}
        assert shown == {"sisbov": (numbers["sisbov"], False), "cnpj": (None, True), "car": (None, True)}
        told = ""
        for where in ("", "/items", f"/items/{dfid}", f"/items/{dfid}/events"):
            told += (await visitor.get(f"{path}/public{where}")).text
    for secret in (CPF, "52998224725", CNPJ, "12ABC34501DE35", CAR, CAR[-32:], '"cpf"'):
        assert secret not in told
