"""A body that does not come to its end leaves nothing (items-events.md 15)."""

import asyncio
import json

from tests.live.conftest import Start


async def test_scenario_37_a_batch_that_is_cut_before_its_end_stores_nothing(start: Start) -> None:
    """Cut by its length, cut between chunks, cut after a last byte that makes proper JSON of a longer promise."""
    instance = await start()
    _, token = await instance.register("ana")
    bearer = {"authorization": f"Bearer {token}"}
    elements = [{"identifiers": [{"key": "lote", "value": f"L-{number}"}]} for number in range(1000)]
    whole = json.dumps({"items": elements}).encode()
    head = f"POST /api/items/batch HTTP/1.1\r\nHost: {instance.address}\r\nAuthorization: Bearer {token}\r\n"
    head += "Content-Type: application/json\r\n"
    sized = f"{head}Content-Length: {len(whole) + 1}\r\n\r\n".encode()
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(whole):x}\r\n".encode()
    for sent in (sized + whole[: len(whole) // 2], sized + whole, chunked + whole + b"\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", instance.port)
        writer.write(sent)
        await writer.drain()
        writer.write_eof()
        assert not (await reader.read()).startswith(b"HTTP/1.1 2")
        writer.close()
        listed = (await instance.client.get("/api/items", headers=bearer)).json()
        assert listed["items"] == []
        assert (await instance.client.get("/api/items/pending", headers=bearer)).json()["items"] == []
    done = await instance.client.post(
        "/api/items/batch", content=whole, headers=bearer | {"content-type": "application/json"}
    )
    assert done.json()["counts"]["created"] == 1000
