"""The chain around every route keeps http.md 1 to 4 and 11 to 14, over a real server."""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import structlog

from domain.ports import errors as storage
from entrypoints.http import heads
from entrypoints.http.errors import registry
from entrypoints.http.exchange import add_request
from tests.http.kernel.toy import TOKEN, Toy

Start = Callable[[Toy], Awaitable[httpx.AsyncClient]]
DFID = "DFID-20250108-000042-94E"


def refused(answer: httpx.Response, code: str) -> dict[str, Any]:
    """Check a problem answer and return it."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    found: dict[str, Any] = answer.json()
    assert found["code"] == code, found
    assert answer.status_code == found["status"] == registry()[code].status
    assert found["trace_id"] == answer.headers["x-trace-id"]
    assert answer.headers["cache-control"] == "no-store"
    return found


async def test_a_path_that_matches_nothing_is_not_found_with_or_without_credential(client: httpx.AsyncClient) -> None:
    refused(await client.get("/api/unknown"), "route_not_found")
    refused(await client.get("/nothing", headers=TOKEN), "route_not_found")
    refused(await client.get("/api/things/1/2/3"), "route_not_found")


async def test_another_method_is_refused_with_allow(client: httpx.AsyncClient) -> None:
    answer = await client.put("/api/things")
    refused(answer, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_a_trailing_slash_is_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/ready/", headers=TOKEN)).status_code == 200


async def test_head_has_status_and_headers_of_get_and_no_body(client: httpx.AsyncClient) -> None:
    get, head = await client.get("/api/ready", headers=TOKEN), await client.head("/api/ready", headers=TOKEN)
    assert head.content == b""
    changing = {"date", "x-request-id", "x-trace-id", "ratelimit"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }
    assert (await client.head("/api/things/export", headers=TOKEN)).status_code == 405


async def test_every_route_without_a_credential_is_refused_except_the_public_ones(
    toy: Toy, client: httpx.AsyncClient
) -> None:
    for route in toy.app().routes:
        path = route.path.replace("{dfid}", DFID).replace("{", "").replace("}", "")
        answer = await client.request(route.method, path, headers={"content-type": "application/json"})
        if route.public:
            assert answer.status_code != 401
        else:
            refused(answer, "unauthenticated")
            assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": "Bearer garbage"}, "unauthenticated"),
        ({"authorization": "Basic dXNlcjpwdw=="}, "unauthenticated"),
        ({"authorization": "Bearer"}, "unauthenticated"),
        ({"authorization": "bearer expired"}, "token_expired"),
        ({"x-api-key": "token-of-ana"}, "unauthenticated"),
        ({"x-api-key": "dfm_reader", "authorization": "Bearer token-of-ana"}, "ambiguous_credentials"),
    ],
)
async def test_a_credential_that_is_not_valid_is_never_anonymity(
    client: httpx.AsyncClient, headers: dict[str, str], code: str
) -> None:
    for path in ("/api/big", "/api/page"):
        answer = await client.get(path, headers=headers)
        refused(answer, code)
        if code == "token_expired":
            assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_two_authorization_headers_are_two_credentials(client: httpx.AsyncClient) -> None:
    headers = [("authorization", "Bearer token-of-ana"), ("authorization", "Bearer token-of-ana")]
    refused(await client.get("/api/big", headers=headers), "ambiguous_credentials")


async def test_keys_come_in_either_header_and_a_ticket_on_streams_only(client: httpx.AsyncClient) -> None:
    for headers in ({"x-api-key": "dfm_reader"}, {"authorization": "BEARER dfm_reader"}):
        assert (await client.get("/api/big", headers=headers)).status_code == 200
    refused(await client.get("/api/big?ticket=token-of-ana"), "unauthenticated")


async def test_scope_session_administrator_and_manager_are_demanded(client: httpx.AsyncClient) -> None:
    key = {"x-api-key": "dfm_reader"}
    missing = refused(await client.post("/api/things", headers=key, json={"name": "x"}), "scope_missing")
    assert missing["needed"] == ["items:write"]
    refused(await client.post("/api/secret", headers=key), "session_required")
    refused(await client.get("/api/admin/thing", headers=TOKEN), "admin_required")
    refused(await client.get("/api/manager/thing", headers=TOKEN), "manager_required")
    admin = {"authorization": "Bearer token-of-admin"}
    assert (await client.get("/api/admin/thing", headers=admin)).status_code == 200


async def test_public_routes_ignore_credentials(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/auth/login", headers={"authorization": "Bearer x"}, json={"name": "a"})
    assert answer.json()["kind"] == "anonymous"


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (b'{"name":"a"}', {}, "media_type_unsupported"),
        (b'{"name":"a"}', {"content-type": "text/plain"}, "media_type_unsupported"),
        (b'{"name":"a"}', {"content-type": "application/json; charset=latin-1"}, "media_type_unsupported"),
        (b'{"name":"a"}', {"content-type": "application/merge-patch+json"}, "media_type_unsupported"),
        (b"x", {"content-type": "application/json", "content-encoding": "gzip"}, "media_type_unsupported"),
        (b"", {"content-type": "application/json"}, "body_unparsable"),
        (b"", {}, "body_unparsable"),
        (b'{"name":"a"', {"content-type": "application/json"}, "body_unparsable"),
        (b'{"name":"a","name":"b"}', {"content-type": "application/json"}, "body_unparsable"),
        (b'{"name":"\xff"}', {"content-type": "application/json"}, "encoding_invalid"),
        (b'{"user_id":"a"}', {"content-type": "application/json"}, "validation_failed"),
    ],
)
async def test_bodies_that_do_not_fit_are_refused_and_nothing_is_stored(
    toy: Toy, client: httpx.AsyncClient, content: bytes, headers: dict[str, str], code: str
) -> None:
    refused(await client.post("/api/things", content=content, headers=headers | TOKEN), code)
    assert (await client.get("/api/things", headers=TOKEN)).json() == {"items": [], "next_cursor": None}


async def test_all_faults_of_body_and_query_come_together(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/things?limit=3&x=1", headers=TOKEN, json={"nmae": 1})
    found = refused(answer, "validation_failed")
    assert found["detail"] == "4 faults."
    assert found["errors"] == [
        {"pointer": "/nmae", "code": "unknown_field", "detail": "There is no such member here.", "suggestion": "name"},
        {"pointer": "/name", "code": "required", "detail": "This member is required."},
        {"parameter": "limit", "code": "unknown_parameter", "detail": "There is no such parameter here."},
        {"parameter": "x", "code": "unknown_parameter", "detail": "There is no such parameter here."},
    ]


async def test_merge_patch_is_taken_for_patch_and_a_body_that_is_not_needed_may_be_absent(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.put("/api/reason", headers=TOKEN)).json()["body"] == {"reason": None}
    assert (await client.post("/api/nothing", headers=TOKEN)).status_code == 200
    assert (await client.post("/api/nothing", headers=TOKEN, json={})).status_code == 200
    refused(await client.post("/api/nothing", headers=TOKEN, json={"a": 1}), "validation_failed")
    refused(await client.post("/api/nothing", headers=TOKEN, json=[]), "validation_failed")
    refused(await client.post("/api/nothing", headers=TOKEN, content=b"x"), "media_type_unsupported")


async def test_path_parts_are_checked_by_their_kind(client: httpx.AsyncClient) -> None:
    refused(await client.get("/api/things/17", headers=TOKEN), "id_invalid")
    refused(await client.get("/api/echo/DFID-20250108-000042-94F", headers=TOKEN), "dfid_invalid")
    refused(await client.get("/api/text/a/%FF", headers=TOKEN), "id_invalid")
    refused(await client.get("/api/text/a/%00", headers=TOKEN), "id_invalid")
    refused(await client.get("/api/number/x", headers=TOKEN), "id_invalid")
    assert (await client.get("/api/number/12", headers=TOKEN)).json()["path"] == {"position": 12}
    assert (await client.get(f"/api/echo/{DFID.lower()}", headers=TOKEN)).json()["path"] == {"dfid": DFID}
    found = await client.get("/api/text/cnpj/12.345.678%2F0001-95%20%C3%A3", headers=TOKEN)
    assert found.json()["path"] == {"key": "cnpj", "value": "12.345.678/0001-95 ã"}
    assert (await client.get("/api/%72eady", headers=TOKEN)).status_code == 200


async def test_absent_and_foreign_are_one_fixed_sentence(client: httpx.AsyncClient) -> None:
    found = refused(await client.get("/api/things/018f6f6f-0000-7000-8000-0000000000ff", headers=TOKEN), "not_found")
    assert found["detail"] == "There is nothing here, or it is not for you."


async def test_a_body_of_one_byte_more_than_its_bound_is_refused(start: Start) -> None:
    client = await start(Toy(max_body=100, max_auth_body=50, max_bulk_body=200, max_import_body=300))
    for path, bound in (("/api/things", 100), ("/api/auth/login", 50), ("/api/things/batch", 200)):
        fits = json.dumps({"name": ""}).encode()
        padded = fits + b" " * (bound - len(fits))
        headers = TOKEN | {"content-type": "application/json"}
        refused(await client.post(path, content=padded, headers=headers), "validation_failed")
        refused(await client.post(path, content=padded + b" ", headers=headers), "body_too_large")

        async def chunks(whole: bytes = padded + b" ") -> Any:
            yield whole[:10]
            yield whole[10:]

        refused(await client.post(path, content=chunks(), headers=headers), "body_too_large")
    refused(await client.post("/api/things", content=b"x" * 301, headers=TOKEN), "body_too_large")


async def test_lines_and_headers_that_are_too_long_are_refused(client: httpx.AsyncClient) -> None:
    refused(await client.get("/api/big?q=" + "x" * 8192, headers=TOKEN), "uri_too_long")
    refused(await client.get("/api/big", headers=TOKEN | {"x-long": "x" * 32768}), "headers_too_large")


async def test_a_body_that_stops_arriving_is_408(start: Start) -> None:
    client = await start(Toy(body_idle=0.1))
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = "POST /api/things HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token-of-ana\r\n"
    writer.write(f'{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{"name"'.encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert answer.startswith("HTTP/1.1 408 ")
    assert "connection: close" in answer
    assert json.loads(answer.partition("\r\n\r\n")[2])["code"] == "request_timeout"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"no request at all\r\n\r\n", 400, "header_invalid"),
        (b"GET /" + b"x" * 9000, 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\nx-long: " + b"x" * 20_000, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nhost: ", 408, "request_timeout"),
    ],
)
async def test_a_head_that_never_ends_or_is_none_is_answered_as_everything_else(
    start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes, status: int, code: str
) -> None:
    """Nothing of it reaches the chain; without this a slow or endless head would hold its connection for ever."""
    monkeypatch.setattr(heads, "HEAD_IDLE", 0.3 if status == 408 else 10.0)
    client = await start(Toy())
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    with structlog.testing.capture_logs() as logs:
        for _ in range(4 if status == 431 else 1):
            writer.write(sent)
            await writer.drain()
            await asyncio.sleep(0.05)
            sent = b"x" * 20_000
        answer = (await asyncio.wait_for(reader.read(), 5)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ") and "connection: close" in head
    assert "content-type: application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["code"]) == (status, code)
    assert [(each["status"], each["code"]) for each in logs if each["event"] == "http.request"] == [(status, code)]


async def test_a_connection_that_says_nothing_is_closed_and_a_slow_head_that_goes_on_is_served(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "HEAD_IDLE", 1.0)
    client = await start(Toy())
    place = (client.base_url.host, client.base_url.port)
    silent, other = await asyncio.open_connection(*place)
    reader, writer = await asyncio.open_connection(*place)
    for part in (b"GET /health ", b"HTTP/1.1\r\n", b"host: x\r\n", b"connection: close\r\n", b"\r\n"):
        writer.write(part)
        await asyncio.sleep(0.25)
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert await asyncio.wait_for(silent.read(), 5) == b""
    other.close()


async def test_imports_stream_and_may_be_compressed(start: Start) -> None:
    client = await start(Toy(max_import_body=100_000))
    rows = b"a\nb\nc\n"
    plain = await client.post("/api/things/import", content=rows, headers=TOKEN | {"content-type": "text/csv"})
    assert plain.json() == {"rows": 3, "type": "text/csv"}
    packed = TOKEN | {"content-type": "application/x-ndjson", "content-encoding": "gzip"}
    assert (await client.post("/api/things/import", content=gzip.compress(rows), headers=packed)).json()["rows"] == 3
    bomb = gzip.compress(b" " * 90_000)
    refused(await client.post("/api/things/import", content=bomb, headers=packed), "body_too_large")
    refused(await client.post("/api/things/import", content=b"xx", headers=packed), "body_unparsable")
    refused(await client.post("/api/things/import", json={}, headers=TOKEN), "media_type_unsupported")


async def test_bulk_elements_are_judged_alone(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/things/batch", headers=TOKEN, json={"items": [{"name": "a"}, {"nam": 1}]})
    results = answer.json()["results"]
    assert [entry["outcome"] for entry in results] == ["created", "refused"]
    assert [fault["pointer"] for fault in results[1]["errors"]] == ["/nam", "/name"]


async def test_trace_and_request_ids_lead_through(toy: Toy, client: httpx.AsyncClient) -> None:
    parent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x-request-id": "r-1"}
    answer = await client.get("/api/big", headers=TOKEN | parent)
    assert answer.headers["x-trace-id"] == "4bf92f3577b34da6a3ce929d0e0e4736" == toy.keys.seen[-1].trace_id
    assert answer.headers["x-request-id"] == "r-1"
    forged = {"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "x-request-id": "a b"}
    answer = await client.get("/api/big", headers=TOKEN | forged)
    assert answer.headers["x-request-id"] == answer.headers["x-trace-id"] != "0" * 32


async def test_security_headers_stand_on_every_answer(client: httpx.AsyncClient) -> None:
    for path in ("/", "/api/big", "/unknown", "/health", "/docs", "/problems"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert "strict-transport-security" not in headers


async def test_strict_transport_is_told_where_configured(start: Start) -> None:
    client = await start(Toy(hsts=True))
    assert (await client.get("/")).headers["strict-transport-security"] == "max-age=31536000"


async def test_allowed_origins_get_cors_headers_on_every_answer_and_foreign_ones_none(
    toy: Toy, client: httpx.AsyncClient
) -> None:
    toy.error = storage.Unavailable()
    for path in ("/api/big", "/unknown", "/api/things/x", "/api/fail"):
        method = "POST" if path == "/api/fail" else "GET"
        ours = await client.request(method, path, headers=TOKEN | {"origin": "https://app.example"})
        assert ours.headers["access-control-allow-origin"] == "https://app.example"
        assert "ETag" in ours.headers["access-control-expose-headers"]
        assert ours.headers["cross-origin-resource-policy"] == "cross-origin"
        theirs = await client.request(method, path, headers=TOKEN | {"origin": "https://evil.example"})
        assert not [name for name in theirs.headers if name.startswith("access-control")]
        assert theirs.status_code == ours.status_code


async def test_preflight_needs_nothing_and_works_while_starting(toy: Toy, client: httpx.AsyncClient) -> None:
    toy.health.phase = "starting"
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    answer = await client.options("/api/things", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert "Idempotency-Key" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in answer.headers
    foreign = await client.options("/api/things", headers=asked | {"origin": "https://evil.example"})
    assert not [name for name in foreign.headers if name.startswith("access-control")]


async def test_starting_and_closing_serve_health_alone_and_draining_is_no_refusal_yet(
    toy: Toy, client: httpx.AsyncClient
) -> None:
    toy.health.phase = "starting"
    answer = await client.get("/api/big", headers=TOKEN)
    refused(answer, "starting")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/health")).json()["status"] == "alive"
    assert (await client.get("/health/ready")).status_code == 503
    assert (await client.get("/health/db")).json()["reason"] == "starting"
    toy.health.phase = "draining"
    assert (await client.get("/api/big", headers=TOKEN)).status_code == 200
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["phase"]) == (503, "draining")
    toy.health.closing = True
    answer = await client.get("/api/big", headers=TOKEN)
    refused(answer, "draining")
    assert answer.headers["connection"] == "close"
    toy.health.phase, toy.health.closing = "ready", False
    ready = await client.get("/health/ready")
    assert ready.status_code == 200
    assert ready.json()["checks"]["store"] == "up"
    down = await client.get("/health/db")
    assert down.json()["schema"] == {"applied": 3, "expected": 3}


async def test_a_store_that_hangs_is_down_after_a_second(toy: Toy, client: httpx.AsyncClient) -> None:
    async def hang() -> Any:
        await asyncio.sleep(30)

    toy.health.ask_store = hang
    answers = await asyncio.gather(*(client.get(path) for path in ("/health/ready", "/health/db") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {503}
    assert (await client.get("/health/db")).json()["reason"] == "timeout"


async def test_a_read_only_store_refuses_changes_and_answers_reads(toy: Toy, client: httpx.AsyncClient) -> None:
    toy.health.read_only = True
    refused(await client.post("/api/things", headers=TOKEN, json={"name": "a"}), "read_only")
    assert (await client.post("/api/things/search", headers=TOKEN, json={})).status_code == 200


async def test_too_many_requests_in_flight_are_refused_at_once(start: Start) -> None:
    toy = Toy(max_in_flight=2)
    client = await start(toy)
    waiting = [asyncio.create_task(client.get("/api/wait", headers=TOKEN)) for _ in range(2)]
    await asyncio.sleep(0.1)
    answer = await client.get("/api/big", headers=TOKEN)
    refused(answer, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert (await client.get("/health")).status_code == 200
    toy.released.set()
    assert [one.status_code for one in await asyncio.gather(*waiting)] == [200, 200]
    assert (await client.get("/api/big", headers=TOKEN)).status_code == 200


async def test_a_request_beyond_its_time_is_stopped(start: Start) -> None:
    toy = Toy(request_timeout=0.2)
    client = await start(toy)
    answer = await client.get("/api/wait", headers=TOKEN)
    refused(answer, "deadline_exceeded")
    assert answer.headers["retry-after"] == "1"
    assert toy.cancelled == 1
    refused(await client.post("/api/stuck", headers=TOKEN), "outcome_unknown")
    assert (await client.get("/api/big", headers=TOKEN)).status_code == 200


async def test_a_client_that_goes_away_cancels_its_request(toy: Toy, client: httpx.AsyncClient) -> None:
    for method in ("GET", "POST"):
        toy.started.clear()
        task = asyncio.create_task(client.request(method, "/api/wait", headers=TOKEN))
        await toy.started.wait()
        task.cancel()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if (method, "/api/wait", 499) in toy.records:
                break
        assert (method, "/api/wait", 499) in toy.records
    assert toy.cancelled == 2


async def test_a_live_stream_ends_when_its_reader_goes_away(start: Start) -> None:
    toy = Toy(max_in_flight=1, request_timeout=0.2)
    client = await start(toy)
    async with client.stream("GET", "/api/stream?ticket=expired") as answer:
        assert answer.status_code == 401
    async with client.stream("GET", "/api/stream", headers=TOKEN) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        ticks = 0
        async for _ in answer.aiter_raw():
            ticks += 1
            if ticks > 20:
                break
        assert (await client.get("/api/big", headers=TOKEN)).status_code == 200
    for _ in range(100):
        await asyncio.sleep(0.01)
        if toy.cancelled:
            break
    assert toy.cancelled == 1


async def test_exports_have_a_name_and_a_broken_one_is_recognisable(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/things/export", headers=TOKEN)
    assert answer.text == '{"n":0}\n{"n":1}\n{"n":2}\n'
    assert answer.headers["content-disposition"] == 'attachment; filename="things.ndjson"'
    assert answer.headers["cache-control"] == "no-store"
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/api/broken", headers=TOKEN)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("postgres://root:secret@db/x"), "internal_error"),
        (storage.Unavailable("host db"), "unavailable"),
        (storage.OutcomeUnknown(), "outcome_unknown"),
        (storage.Corrupt("items"), "data_corrupt"),
        (storage.UnitDoomed(), "internal_error"),
        (TimeoutError(), "internal_error"),
    ],
)
async def test_what_handlers_raise_becomes_a_problem_without_a_leak(
    toy: Toy, client: httpx.AsyncClient, error: Exception, code: str
) -> None:
    toy.error = error
    with structlog.testing.capture_logs(processors=[add_request]) as logs:
        answer = await client.post("/api/fail", headers=TOKEN)
    refused(answer, code)
    assert "secret" not in answer.text
    assert ("retry-after" in answer.headers) == (answer.status_code == 503)
    requests = [entry for entry in logs if entry["event"] == "http.request"]
    assert len(requests) == 1
    assert requests[0]["log_level"] == "error"
    assert len([entry for entry in logs if entry["event"] == "http.failed"]) == (answer.status_code == 500)
    assert (await client.get("/api/big", headers=TOKEN)).status_code == 200


async def test_one_record_per_request_names_what_happened_and_no_values(client: httpx.AsyncClient) -> None:
    with structlog.testing.capture_logs(processors=[add_request]) as logs:
        await client.post("/api/things?q=private", headers=TOKEN, json={"nmae": "private"})
        await client.get("/api/echo/" + DFID, headers={"x-api-key": "dfm_reader"})
    first, second = logs
    assert first["event"] == "http.request"
    assert first["log_level"] == "info"
    assert first["route"] == "/api/things"
    assert first["status"] == 422
    assert first["code"] == "validation_failed"
    assert first["principal"].startswith("user:")
    assert first["bytes_in"] == len(b'{"nmae":"private"}')
    assert first["bytes_out"] > 0
    assert second["principal"] == "api_key:k1"
    assert second["route"] == "/api/echo/{dfid}"
    assert "private" not in str(logs)


async def test_large_answers_are_compressed_for_those_who_take_it(client: httpx.AsyncClient) -> None:
    packed = await client.get("/api/big", headers=TOKEN | {"accept-encoding": "br, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 1000
    for refusing in ("identity", "gzip;q=0", "br, gzip; q=0.0"):
        plain = await client.get("/api/big", headers=TOKEN | {"accept-encoding": refusing})
        assert "content-encoding" not in plain.headers
        assert plain.headers["etag"] == packed.headers["etag"]
        assert plain.json() == packed.json()
    secret = await client.post("/api/secret", headers=TOKEN | {"accept-encoding": "gzip"})
    assert "content-encoding" not in secret.headers
    assert secret.headers["cache-control"] == "no-store"


async def test_limits_are_told_and_the_next_request_beyond_is_refused(toy: Toy, client: httpx.AsyncClient) -> None:
    first = await client.get("/api/narrow", headers=TOKEN)
    assert first.headers["ratelimit-policy"] == '"user";q=100000;w=60, "narrow";q=2;w=60'
    assert first.headers["ratelimit"] == '"narrow";r=1;t=7'
    await client.get("/api/narrow", headers=TOKEN)
    third = await client.get("/api/narrow", headers=TOKEN)
    refused(third, "rate_limited")
    assert third.headers["retry-after"] == "7"
    assert third.headers["ratelimit"] == '"narrow";r=0;t=7'
    assert "ratelimit" not in (await client.get("/health")).headers


async def test_failed_credentials_are_charged_to_the_address(toy: Toy, client: httpx.AsyncClient) -> None:
    toy.counter.quotas["anonymous"] = 1
    wrong = {"authorization": "Bearer wrong"}
    refused(await client.get("/api/big", headers=wrong), "unauthenticated")
    refused(await client.get("/api/big", headers=wrong), "rate_limited")
    assert (await client.get("/api/big", headers=TOKEN)).status_code == 200


async def test_the_client_address_is_taken_from_trusted_proxies_alone(start: Start) -> None:
    direct = await start(Toy())
    forwarded = TOKEN | {"x-forwarded-for": "203.0.113.9, 10.0.0.1"}
    assert (await direct.get("/api/number/1", headers=forwarded)).json()["address"] == "127.0.0.1"
    proxied = await start(Toy(trusted_proxies=("127.0.0.0/8", "10.0.0.0/8")))
    assert (await proxied.get("/api/number/1", headers=forwarded)).json()["address"] == "203.0.113.9"
    spoofed = TOKEN | {"x-forwarded-for": "6.6.6.6, garbage, 10.0.0.1"}
    assert (await proxied.get("/api/number/1", headers=spoofed)).json()["address"] == "10.0.0.1"
    mapped = TOKEN | {"x-forwarded-for": "::ffff:203.0.113.9"}
    assert (await proxied.get("/api/number/1", headers=mapped)).json()["address"] == "203.0.113.9"


async def test_problems_speak_the_language_of_the_account_then_of_the_request(client: httpx.AsyncClient) -> None:
    asked = {"accept-language": "fr, pt-BR;q=0.9, en;q=0.1"}
    anonymous = await client.get("/api/big", headers=asked)
    assert anonymous.json()["title"] == "Entre na conta"
    assert anonymous.headers["content-language"] == "pt-BR"
    account = await client.get("/api/things/x", headers={"authorization": "Bearer token-from-brazil"})
    assert account.json()["title"] == "Não é um id"


async def test_routes_that_will_go_say_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/old", headers=TOKEN)
    assert answer.headers["deprecation"] == "@1767225600"
    assert answer.headers["sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.headers["link"] == '</docs#old_show>; rel="deprecation"'
