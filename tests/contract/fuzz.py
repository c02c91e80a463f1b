"""schemathesis over the whole document, in process, as everybody who may call (http.md 18, law 6).

Ids, DFIDs and versions are often those of things that exist (`tests/access/world.py`), so that requests come further
than the first 404. What a request changed is taken back after it.
"""

import asyncio
import contextlib
import gzip
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import jsonschema
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from domain.access.principal import Scope
from entrypoints.http.routing import JSON_TYPES, PATCH_TYPES
from tests.access.client import VERSIONS, Answer, sent
from tests.access.test_matrix import world_in
from tests.access.world import Person, World

ROLES: Final = ("owner", "member", "stranger", "operator", "key", "anonymous")
"""The owner of the circuit, who owns the item, somebody of another workspace, an administrator, a key, nobody."""
CHECKS: Final = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
)
MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
REFUSALS: Final = [
    str(status) for status in (400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 414, 415, 422, 428, 431)
]
"""What an answer to an invalid request may be: what is checked before its shape comes first (http.md 3)."""
SHAPE: Final = frozenset({"unknown_field", "unknown_parameter", "type", "null_not_allowed"})
"""Faults that a schema always expresses: what it allows has none of them. `required` may depend on another member."""


@attrs.define
class Fuzz:
    """One engine that is asked, and everything that it answered otherwise than its document says."""

    world: World
    runner: asyncio.Runner
    document: Mapping[str, Any]
    found: Counter[str] = attrs.field(factory=Counter)
    asked: Counter[int] = attrs.field(factory=Counter)

    def operations(self) -> list[APIOperation]:
        """Return the operations that answer at once. Raises LookupError when the document hides one."""
        schema = schemathesis.openapi.from_dict(dict(self.document))
        # Who asks is drawn from the roles; law 1 and the access matrix are about other credentials.
        schema.config.generation.with_security_parameters = False
        schema.config.checks.negative_data_rejection.expected_statuses = REFUSALS
        schema.config.checks.missing_required_header.expected_statuses = REFUSALS
        found = [operation.ok() for operation in schema.get_all_operations()]
        written = sum(len(methods) for methods in self.document["paths"].values())
        if len(found) != written:
            raise LookupError(f"schemathesis reads {len(found)} of {written} operations")
        return found

    def explore(self, operation: APIOperation, examples: int, start: int) -> None:
        """Send generated requests: as many with valid as with invalid input, each as somebody drawn."""
        for mode in MODES if _can_be_wrong(operation) else MODES[:1]:

            @seed(start)
            @settings(
                max_examples=examples,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
            def ask(case: Case, data: st.DataObject) -> None:
                self.place(case, data.draw)
                self.check(case, data.draw(st.sampled_from(ROLES)))

            ask()

    def cover(self, operation: APIOperation, limit: int | None = None) -> None:
        """Send the cases that schemathesis derives from bounds, formats and required members, at most `limit`."""
        config = operation.schema.config.generation_for(operation=operation)
        cases = operation.schema.iter_coverage_cases(
            operation, generation_modes=list(MODES if _can_be_wrong(operation) else MODES[:1]), generation_config=config
        )
        for number, case in enumerate(cases):
            if limit is not None and number >= limit:
                break
            self.check(case, ROLES[number % len(ROLES)])

    def place(self, case: Case, draw: Any) -> None:
        """Let most requests name things that exist, at whatever version they are."""
        for name in case.path_parameters or {}:
            if name in self.world.objects and draw(st.integers(0, 3)):
                case.path_parameters[name] = self.world.objects[name]
        if case.headers and "If-Match" in case.headers and draw(st.integers(0, 3)):
            case.headers["If-Match"] = VERSIONS

    def check(self, case: Case, who: str) -> None:
        """Send one request and judge its answer."""
        request = requests.Request(**_plain(case.as_transport_kwargs(base_url="http://engine"))).prepare()
        answer = self.runner.run(self._apart(request, who))
        self.world.backend.rewind()
        self.asked[answer.status] += 1
        for fault in self.faults(case, request, answer):
            self.found[f"{case.operation.definition.raw['operationId']}: {fault}"] += 1

    async def _apart(self, request: requests.PreparedRequest, who: str) -> Answer:
        """Ask in a context of its own, as a server does."""
        return await asyncio.create_task(self.ask(request, who))

    async def ask(self, request: requests.PreparedRequest, who: str) -> Answer:
        """Send a prepared request as somebody."""
        parts = urlsplit(str(request.url))
        content = request.body.encode() if isinstance(request.body, str) else request.body or b""
        headers = {name.lower(): value for name, value in request.headers.items()}
        headers |= {"host": "engine", **self.world.people[who].credential}
        answer = await sent(self.world.app, str(request.method), parts.path, parts.query, headers, content, empty=True)
        packed = answer.headers.get("content-encoding") == "gzip"
        return attrs.evolve(answer, body=gzip.decompress(answer.body)) if packed and answer.body else answer

    def faults(self, case: Case, request: requests.PreparedRequest, answer: Answer) -> Iterator[str]:
        """Yield in what an answer differs from the document."""
        headers = {name: [value] for name, value in answer.headers.items()}
        checks = [check for check in CHECKS if check is not negative_data_rejection or not self._harmless(case, answer)]
        received = Response(answer.status, headers, answer.body, request, elapsed=0.0, verify=True)
        try:
            case.validate_response(received, checks=checks)
        except (Failure, FailureGroup) as failed:
            group = failed.exceptions if isinstance(failed, FailureGroup) else (failed,)
            for failure in group:
                yield f"{answer.status} {failure.title}: {' '.join(str(failure).split())[:600]}"
        yield from self._codes(case, answer)

    def _harmless(self, case: Case, answer: Answer) -> bool:
        """Tell whether something invalid was rightly taken: see the two reasons."""
        return answer.status < 300 and (_refused_within(answer) or self._fits_when_trimmed(case))

    def _fits_when_trimmed(self, case: Case) -> bool:
        """Tell whether a body fits its schema once its texts are trimmed, as lengths are counted (http.md 6)."""
        content = case.operation.definition.raw.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            return False
        schema = {**content["schema"], "components": self.document["components"]}
        trimmed = _trimmed(case.body)
        return trimmed != case.body and jsonschema.Draft202012Validator(schema).is_valid(trimmed)

    def _codes(self, case: Case, answer: Answer) -> Iterator[str]:
        """Yield a code that the operation does not document, and faults that its schema should have told."""
        if answer.code is None:
            return
        if (
            case.method == case.operation.method.upper()
            and answer.code not in case.operation.definition.raw["x-problem-codes"]
        ):
            yield f"{answer.status} {answer.code} is not documented"
        if answer.code == "validation_failed" and case.meta is not None and case.meta.generation.mode.is_positive:
            for fault in answer.json["errors"]:
                if fault["code"] in SHAPE:
                    yield f"refused what its schema allows: {fault}"


def _can_be_wrong(operation: APIOperation) -> bool:
    """Tell whether an operation takes anything but a file and optional headers, which may hold any text."""
    if operation.body and all(body.media_type not in (*JSON_TYPES, *PATCH_TYPES) for body in operation.body):
        return False
    return bool(operation.body or operation.query or operation.path_parameters) or any(
        header.is_required for header in operation.headers
    )


def _trimmed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _trimmed(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_trimmed(held) for held in value]
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def _refused_within(answer: Answer) -> bool:
    """Tell whether a bulk answer refuses single elements: they are judged one by one (http.md 10)."""
    told = answer.status == 200 and answer.headers.get("content-type", "").startswith("application/json")
    results = answer.json.get("results", ()) if told else ()
    return any(result.get("error") or result.get("errors") for result in results)


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name in _OF_A_REQUEST}


_OF_A_REQUEST = ("method", "url", "headers", "files", "data", "params", "auth", "cookies", "json")


async def give_key(world: World) -> None:
    """Add somebody who comes with an API key of the item's owner, good for every scope of a user."""
    scopes = sorted(scope for scope in map(str, Scope) if not scope.startswith("admin:"))
    made = await world.do("member", "POST", "/api/api-keys", {"name": "fuzz", "scopes": scopes})
    world.people["key"] = Person("key", world.id_of("member"), {"x-api-key": made["secret"]})
    world.backend.keep()


def draw_ids_of(objects: Mapping[str, str]) -> None:
    """Let generated ids, DFIDs and instants be those that exist, or others that could.

    They are drawn by their names, which stay, while ids differ from run to run: one seed asks about the same things.
    """
    held = [text for _, text in sorted(objects.items())]
    ids = st.sampled_from([text for text in held if len(text) == 36 and text.count("-") == 4])
    numbers = st.sampled_from([text for text in held if text.startswith("DFID-")])
    schemathesis.openapi.format("uuid", st.one_of(ids, ids, st.uuids(version=4).map(str)))
    schemathesis.openapi.format("dfid", st.one_of(numbers, numbers, st.text(min_size=1, max_size=40)))


@schemathesis.serializer("application/x-ndjson", "text/csv")
def as_text(_: Any, value: Any) -> bytes:
    """Write the body of an upload: text, whatever was drawn."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@contextlib.contextmanager
def fuzzing() -> Iterator[Fuzz]:
    """Yield one engine in memory with its document, asked by nobody yet."""
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        held = world_in(Path(folder))
        world: World = runner.run(held.__aenter__())
        try:
            runner.run(give_key(world))
            draw_ids_of(world.objects)
            document = runner.run(world.ask("anonymous", "GET", "/openapi.json")).json
            yield Fuzz(world, runner, document)
        finally:
            runner.run(held.__aexit__(None, None, None))
