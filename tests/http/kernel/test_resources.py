"""Versions, lists and Idempotency-Key keep http.md 7 to 9, over a real server."""

import asyncio
import hashlib
import re
from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest

from domain.ids import new_id
from domain.ports import errors as storage
from domain.ports.queries import Select
from domain.ports.schema import IDEMPOTENCY, WORKSPACES
from entrypoints.http.answers import Answer
from entrypoints.http.idempotency import Idempotency, KeyedRequest
from tests.http.kernel.test_chain import refused
from tests.http.kernel.toy import ANA, TOKEN, Toy

KEY = {"idempotency-key": "k-1"}


async def made(client: httpx.AsyncClient, name: str = "a", **headers: str) -> httpx.Response:
    return await client.post("/api/things", json={"name": name}, headers=TOKEN | headers)


async def stored(toy: Toy) -> int:
    async with toy.storage.read() as reader:
        return len((await reader.page(WORKSPACES, Select(), None, 1000)).items)


async def test_a_create_answers_with_the_representation_that_its_location_gives(client: httpx.AsyncClient) -> None:
    answer = await made(client)
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    found = await client.get(answer.headers["location"], headers=TOKEN)
    assert found.json() == answer.json()
    assert found.headers["etag"] == answer.headers["etag"]
    digest = hashlib.sha256(found.content).hexdigest()[:16]
    assert found.headers["etag"] == f'"1-{digest}"'
    assert found.headers["cache-control"] == "private, no-cache"
    assert found.headers["vary"].startswith("Authorization, X-API-Key, X-Page-Token")


async def test_a_representation_that_is_known_is_304_until_it_changes(client: httpx.AsyncClient) -> None:
    path = (await made(client)).headers["location"]
    tag = (await client.get(path, headers=TOKEN)).headers["etag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = await client.get(path, headers=TOKEN | {"if-none-match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert "vary" in answer.headers
        assert "cache-control" in answer.headers
        assert (await client.head(path, headers=TOKEN | {"if-none-match": known})).status_code == 304
    refused(await client.get(path, headers=TOKEN | {"if-none-match": "x"}), "header_invalid")
    await client.patch(path, json={"name": "b"}, headers=TOKEN | {"if-match": tag})
    assert (await client.get(path, headers=TOKEN | {"if-none-match": tag})).status_code == 200


async def test_ready_bytes_pass_through_with_their_version(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/ready", headers=TOKEN)
    assert answer.content == b'{"a":1}'
    assert answer.headers["etag"].startswith('"7-')


async def test_a_change_needs_the_version_that_was_seen(client: httpx.AsyncClient) -> None:
    first = await made(client)
    path, tag = first.headers["location"], first.headers["etag"]
    for headers in ({}, {"if-match": "*"}):
        refused(await client.patch(path, json={"name": "b"}, headers=TOKEN | headers), "if_match_required")
    refused(await client.patch(path, json={"name": "b"}, headers=TOKEN | {"if-match": "1"}), "header_invalid")
    gone = f"/api/things/{new_id()}"
    refused(await client.patch(gone, json={"name": "b"}, headers=TOKEN), "not_found")
    changed = await client.patch(path, json={"name": "b"}, headers=TOKEN | {"if-match": f'"0", {tag}'})
    assert changed.status_code == 200
    for old in (tag, '"1"', f'W/"2-{"0" * 16}"', '"abc"'):
        mismatch = await client.patch(path, json={"name": "c"}, headers=TOKEN | {"if-match": old})
        assert refused(mismatch, "version_mismatch")["current_version"] == 2
        assert mismatch.headers["etag"] == '"2"'
    again = await client.patch(
        path, content=b"{}", headers=TOKEN | {"if-match": '"2"', "content-type": "application/merge-patch+json"}
    )
    assert again.json()["name"] == "b"


async def test_of_many_updates_with_one_tag_exactly_one_wins(client: httpx.AsyncClient) -> None:
    path = (await made(client)).headers["location"]
    answers = await asyncio.gather(
        *(client.patch(path, json={"name": f"n{n}"}, headers=TOKEN | {"if-match": '"1"'}) for n in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_a_delete_honours_a_version_that_was_sent(client: httpx.AsyncClient) -> None:
    path = (await made(client)).headers["location"]
    refused(await client.delete(path, headers=TOKEN | {"if-match": '"9"'}), "version_mismatch")
    answer = await client.delete(path, headers=TOKEN)
    assert (answer.status_code, answer.content) == (204, b"")
    refused(await client.get(path, headers=TOKEN), "not_found")


async def test_unfinished_work_says_when_to_look_again(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/api/jobs/{ANA}", headers=TOKEN)).headers["retry-after"] == "2"
    assert "retry-after" not in (await client.get(f"/api/jobs/{new_id()}", headers=TOKEN)).headers


async def walk(client: httpx.AsyncClient, limit: int) -> list[str]:
    names: list[str] = []
    path: str | None = f"/api/things?limit={limit}"
    while path:
        answer = await client.get(path, headers=TOKEN)
        page = answer.json()
        names += [entry["name"] for entry in page["items"]]
        link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (page["next_cursor"] is None)
        path = link[1] if link else None
        if link:
            assert page["next_cursor"] in link[1]
            assert len(page["items"]) == limit
    return names


async def test_pages_of_every_size_give_one_sequence(toy: Toy, client: httpx.AsyncClient) -> None:
    for number in range(23):
        await made(client, f"n{number}")
    whole = await walk(client, 200)
    assert len(whole) == len(set(whole)) == 23
    assert await walk(client, 1) == await walk(client, 7) == whole
    assert "etag" not in (await client.get("/api/things", headers=TOKEN)).headers


async def test_cursors_serve_their_own_list_and_filters_alone(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await made(client, f"n{number}")
    cursor = (await client.get("/api/things?limit=2", headers=TOKEN)).json()["next_cursor"]
    assert len((await client.get(f"/api/things?limit=3&cursor={cursor}", headers=TOKEN)).json()["items"]) == 3
    search = (await client.post("/api/things/search", json={"limit": 2}, headers=TOKEN)).json()["next_cursor"]
    body = {"limit": 3, "cursor": search}
    assert len((await client.post("/api/things/search", json=body, headers=TOKEN)).json()["items"]) == 3
    wrong = [f"q=ab&cursor={cursor}", f"cursor={search}", "cursor=x", "cursor=" + "A" * 2000, "cursor=%C3%A3"]
    wrong += [
        f"cursor={cursor[:at]}{'B' if cursor[at] == 'A' else 'A'}{cursor[at + 1 :]}" for at in range(0, len(cursor), 11)
    ]
    for query in wrong:
        refused(await client.get(f"/api/things?{query}", headers=TOKEN), "cursor_invalid")
    refused(await client.get("/api/things?limit=201", headers=TOKEN), "validation_failed")


async def test_one_key_has_one_effect_and_one_answer(toy: Toy, client: httpx.AsyncClient) -> None:
    first = await made(client, **KEY)
    again = await made(client, **KEY | {"x-request-id": "second"})
    assert await stored(toy) == 1
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert again.headers["x-request-id"] == "second"
    quoted = await made(client, **{"idempotency-key": '"k-1"'})
    assert quoted.headers["idempotency-replayed"] == "true"
    reordered = await client.post(
        "/api/things",
        content=b'{ "note": "", "name": "z" }',
        headers=TOKEN | {"idempotency-key": "k-2", "content-type": "application/json"},
    )
    same = await client.post("/api/things", json={"name": "z", "note": ""}, headers=TOKEN | {"idempotency-key": "k-2"})
    assert same.content == reordered.content
    assert await stored(toy) == 2


async def test_a_key_belongs_to_its_request(toy: Toy, client: httpx.AsyncClient) -> None:
    await made(client, "a", **KEY)
    refused(await made(client, "b", **KEY), "idempotency_key_reused")
    wrong = await client.post("/api/things", json={"nmae": 1}, headers=TOKEN | KEY)
    refused(wrong, "idempotency_key_reused")
    other_user = {"authorization": "Bearer token-of-admin"}
    assert (await client.post("/api/things", json={"name": "b"}, headers=other_user | KEY)).status_code == 201
    assert (await client.post("/api/nothing", headers=TOKEN | KEY)).status_code == 200
    assert await stored(toy) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", '"'])
async def test_a_key_that_cannot_be_read_is_refused(client: httpx.AsyncClient, key: str) -> None:
    if key == '"':
        assert (await made(client, **{"idempotency-key": key})).status_code == 201
        return
    refused(await made(client, **{"idempotency-key": key}), "header_invalid")


async def test_parallel_requests_with_one_key_have_one_effect(toy: Toy, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(made(client, **KEY) for _ in range(20)))
    assert await stored(toy) == 1
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, "idempotency_running")
            assert answer.headers["retry-after"] == "1"
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1


async def test_refusals_are_not_kept(toy: Toy, client: httpx.AsyncClient) -> None:
    refused(await client.post("/api/things", json={"nmae": 1}, headers=TOKEN | KEY), "validation_failed")
    assert (await made(client, **KEY)).status_code == 201
    toy.error = storage.Unavailable()
    headers = TOKEN | {"idempotency-key": "k-9"}
    refused(await client.post("/api/fail", headers=headers), "unavailable")
    refused(await client.post("/api/fail", headers=headers), "unavailable")


async def test_after_an_unknown_outcome_the_key_waits_for_its_lease(toy: Toy, client: httpx.AsyncClient) -> None:
    toy.error = storage.OutcomeUnknown()
    refused(await client.post("/api/fail", headers=TOKEN | KEY), "outcome_unknown")
    refused(await client.post("/api/fail", headers=TOKEN | KEY), "idempotency_running")


async def test_answers_with_secrets_are_replayed_and_lie_sealed(toy: Toy, client: httpx.AsyncClient) -> None:
    first = await client.post("/api/secret", headers=TOKEN | KEY)
    again = await client.post("/api/secret", headers=TOKEN | KEY)
    assert again.content == first.content
    assert again.headers["cache-control"] == "no-store"
    async with toy.storage.read() as reader:
        (record,) = (await reader.page(IDEMPOTENCY, Select(), None, 10)).items
    assert record.sealed
    assert record.body[:1] != b"x"


async def test_imports_are_known_by_their_bytes(toy: Toy, client: httpx.AsyncClient) -> None:
    headers = TOKEN | KEY | {"content-type": "text/csv"}
    first = await client.post("/api/things/import", content=b"a\nb\nc", headers=headers)
    again = await client.post("/api/things/import", content=b"a\nb\nc", headers=headers)
    assert first.json() == again.json() == {"rows": 3, "type": "text/csv"}
    assert again.headers["idempotency-replayed"] == "true"
    assert await stored(toy) == 3
    refused(await client.post("/api/things/import", content=b"a\nb", headers=headers), "idempotency_key_reused")


async def test_a_key_is_ignored_where_it_has_no_meaning(client: httpx.AsyncClient) -> None:
    for path in ("/api/auth/login", "/api/things/search"):
        for _ in range(2):
            answer = await client.post(path, json={"name": "a"} if "auth" in path else {}, headers=TOKEN | KEY)
            assert "idempotency-replayed" not in answer.headers


class Later:
    """A clock that can be moved."""

    def __init__(self, toy: Toy) -> None:
        self.toy, self.ahead = toy, timedelta()

    def now(self) -> Any:
        return self.toy.clock.now() + self.ahead


def keeper(toy: Toy, clock: Later) -> Idempotency:
    return Idempotency(toy.storage, clock, timedelta(hours=24), bytes, bytes)


REQUEST = KeyedRequest(f"{ANA} POST /api/x k", ANA, "print", timedelta(seconds=60))


async def test_a_lease_that_is_over_is_taken_over_and_the_first_cannot_finish() -> None:
    toy = Toy()
    clock = Later(toy)
    kept = keeper(toy, clock)
    first: Any = await kept.begin(REQUEST)
    clock.ahead = timedelta(seconds=61)
    second: Any = await kept.begin(REQUEST)
    done = Answer(200, b"{}")
    with pytest.raises(Exception, match="idempotency_running"):
        await kept.settle(first, done, "print")
    await kept.withdraw(first)
    await kept.settle(second, done, "print")
    replayed: Any = await kept.begin(REQUEST)
    assert replayed.status == 200


async def test_a_long_request_keeps_its_lease_by_renewing_it() -> None:
    toy = Toy()
    clock = Later(toy)
    kept = keeper(toy, clock)
    claim: Any = await kept.begin(REQUEST)
    for seconds in (40, 80, 120):
        clock.ahead = timedelta(seconds=seconds)
        with pytest.raises(RuntimeError, match="rolled back"):
            async with toy.storage.write() as unit:
                await kept.renew(unit, claim, REQUEST.lease)
                raise RuntimeError("rolled back")
        async with toy.storage.write() as unit:
            await kept.renew(unit, claim, REQUEST.lease)
        with pytest.raises(Exception, match="idempotency_running"):
            await kept.begin(REQUEST)


async def test_a_record_is_forgotten_after_its_time() -> None:
    toy = Toy()
    clock = Later(toy)
    kept = keeper(toy, clock)
    claim: Any = await kept.begin(REQUEST)
    await kept.settle(claim, Answer(201, b"{}"), "print")
    clock.ahead = timedelta(hours=25)
    fresh: Any = await kept.begin(attrs.evolve(REQUEST, fingerprint="other"))
    assert fresh.record.state == "running"
