"""A circuit with many members and placements against one with ten: what everybody does there must cost the same.

The rows of a real member and of a real item that stands in the circuit are copied inside PostgreSQL, with ids, numbers
and instants of their own. Hashes of the copies do not verify: they serve to measure sizes and plans, not content.
"""

import itertools
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import attrs
import psycopg

from domain.items.dfid import format_dfid
from tests.benchmarks.client import note
from tests.benchmarks.fill import DAY
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import Served, engine
from tests.benchmarks.world import FIRST_SISBOV, PASSWORD, item

FEW = 10
MEMBERS_OF = 100
"""Placements per member of a filled circuit."""
TIMES = 40
MOST_MEMBERS = 10_000 - 2 * TIMES
"""A circuit has room for those that the loads let in."""

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)")
_NUMBERED = "md5(%s || n)::uuid::text"
_EARLIER = "to_char(%s::timestamptz - n * interval '1 ms', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

Send = Callable[..., Any]


@attrs.define
class Scene:
    """One circuit: who owns it, a member that reads, items made for it that nobody pushed yet, and drafts."""

    circuit: str
    owner: str
    reader: str
    reader_id: str
    items: Iterator[str] = attrs.field(factory=lambda: iter(()))
    drafts: Iterator[str] = attrs.field(factory=lambda: iter(()))
    placed: list[str] = attrs.field(factory=list)
    strangers: Iterator[str] = attrs.field(factory=lambda: iter(()))
    joined: list[str] = attrs.field(factory=list)
    approves: bool = False

    @property
    def at(self) -> str:
        return f"/api/circuits/{self.circuit}"


def circuit_rows(url: str, placements: int) -> Iterator[Row]:
    """Yield for each operation its median in a circuit of that many placements, and in one with ten."""
    settings = {"DATABASE_URL": url, "DEFARM_LIMIT_LOOKUP": "off", "DEFARM_LIMIT_JOIN": "off"}
    with engine(**settings) as served:
        scenes = _settled(served)
    members = max(FEW, min(MOST_MEMBERS, placements // MEMBERS_OF))
    begun = time.perf_counter()
    _fill(url, scenes[1], placements, members)
    note(f"filled {placements:,} placements, {members:,} members in {time.perf_counter() - begun:.0f} s")
    with engine(**settings) as served:
        for scene in scenes:
            _prepared(served, scene)
        for name, call in OPERATIONS.items():
            few, many = _interleaved(served, scenes, call)
            yield Row(f"circuit, {name}", many, " ms", baseline="with ten", theirs=few, clients=1)


def _settled(served: Served) -> list[Scene]:
    tokens = {name: _registered(served, name) for name in ("owner", "reader")}
    scenes = []
    for number in range(2):
        body = {"name": f"Circuit {number}", "allow_public_visibility": True, "alias_config": {"use_fingerprint": True}}
        body |= {"public_settings": {"auto_publish_pushed_items": True}}
        circuit = served.call("POST", "/api/circuits", body, tokens["owner"])["circuit_id"]
        scene = Scene(circuit, tokens["owner"], tokens["reader"], "")
        scene.reader_id = _joins(served, scene, "reader")
        scenes.append(scene)
        # The template of the fill: an item of the owner's that stands there.
        sisbov = f"{int(FIRST_SISBOV) + number:015d}"
        dfid = served.call("POST", "/api/items", item(sisbov), tokens["owner"])["dfid"]
        served.call("POST", f"{scene.at}/push/{dfid}", None, tokens["owner"])
        scene.placed.append(dfid)
        for extra in range(FEW - 2):
            name = f"member-{number}-{extra}"
            _registered(served, name)
            _joins(served, scene, name)
        for made in _made(served, scene, FEW - 1):
            served.call("POST", f"{scene.at}/push/{made}", None, tokens["owner"])
    return scenes


def _registered(served: Served, name: str) -> str:
    account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    return str(served.call("POST", "/api/auth/register", account)["access_token"])


def _joins(served: Served, scene: Scene, name: str) -> str:
    member = served.call("POST", f"{scene.at}/members", {"username": name, "role": "member"}, scene.owner)
    return str(member["user_id"])


_numbers = itertools.count(int(time.time() * 1000))


def _made(served: Served, scene: Scene, count: int) -> list[str]:
    body = {"items": [item(f"076{next(_numbers) % 10**12:012d}") for _ in range(count)]}
    return [one["dfid"] for one in served.call("POST", "/api/items/batch", body, scene.owner)["results"]]


def _prepared(served: Served, scene: Scene) -> None:
    """Make what the loads use up."""
    logins = {}
    for name in ("owner", "reader"):
        logins[name] = served.call("POST", "/api/auth/login", {"username": name, "password": PASSWORD})["access_token"]
    scene.owner, scene.reader = logins["owner"], logins["reader"]
    scene.items = iter(_made(served, scene, 4 * TIMES))
    drafts = (item(f"076{next(_numbers) % 10**12:012d}") for _ in range(2 * TIMES))
    scene.drafts = iter([served.call("POST", "/api/items/local", one, scene.owner)["local_id"] for one in drafts])
    names = [f"guest-{next(_numbers)}" for _ in range(TIMES + 5)]
    scene.strangers = iter([_registered(served, name) for name in names])


def _interleaved(served: Served, scenes: Sequence[Scene], call: "Call") -> tuple[float, float]:
    """Return the medians of one operation in milliseconds, measured in turn in both circuits."""
    connection = HTTPConnection(str(urlsplit(served.address).netloc), timeout=120)
    took: list[list[float]] = [[], []]

    def send(method: str, path: str, token: str, body: Any = None, version: int | None = None) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {} if version is None else {"If-Match": f'"{version}"'}
        content = None if body is None else json.dumps(body)
        headers |= {} if body is None else {"Content-Type": "application/json"}
        begun = time.perf_counter()
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        read = answer.read()
        spent.append(time.perf_counter() - begun)
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {read.decode()[:500]}")
        return json.loads(read or b"null")

    for turn in range(TIMES + 3):
        for place, scene in enumerate(scenes):
            spent: list[float] = []
            call(scene, send)
            if turn >= 3:
                took[place].append(spent[-1])
    connection.close()
    few, many = (statistics.median(each) * 1000 for each in took)
    return few, many


Call = Callable[[Scene, Send], Any]


def _push(scene: Scene, send: Send) -> None:
    dfid = next(scene.items)
    send("POST", f"{scene.at}/push/{dfid}", scene.owner, None)
    scene.placed.append(dfid)


def _push_local(scene: Scene, send: Send) -> None:
    send("POST", f"{scene.at}/push-local", scene.owner, {"local_id": next(scene.drafts)})


def _pull(scene: Scene, send: Send) -> None:
    send("POST", f"{scene.at}/pull/{scene.placed[-1]}", scene.reader, None)
    scene.joined.append(scene.placed.pop())


def _withdraw(scene: Scene, send: Send) -> None:
    send("POST", f"{scene.at}/withdraw/{scene.joined.pop()}", scene.owner, {})


def _asks(scene: Scene, send: Send) -> None:
    request = send("POST", f"{scene.at}/requests", next(scene.strangers), {})["request"]
    scene.placed.append(request["request_id"])


def _lets_in(scene: Scene, send: Send) -> None:
    send("POST", f"{scene.at}/requests/{scene.placed.pop()}/approve", scene.owner, {"role": "viewer"})


def _expelled_and_back(scene: Scene, send: Send) -> None:
    send("DELETE", f"{scene.at}/members/{scene.reader_id}", scene.owner, None)
    send("POST", f"{scene.at}/members", scene.owner, {"username": "reader", "role": "member"})


def _without_pulls(scene: Scene, send: Send) -> None:
    """A member lists what opens to them in a circuit that approves pulls, and where they were let pull nothing."""
    if not scene.approves:
        version = send("GET", scene.at, scene.owner)["version"]
        send("PATCH", scene.at, scene.owner, {"require_approval_for_pull": True}, version)
        scene.approves = True
    send("GET", f"/api/items?access=circuit&circuit_id={scene.circuit}&limit=10", scene.reader)


def _reads(path: str, who: str = "reader") -> Call:
    def call(scene: Scene, send: Send) -> None:
        token = {"reader": scene.reader, "owner": scene.owner, "": ""}[who]
        named = path.format(at=scene.at, circuit=scene.circuit, one=scene.placed[0], him=scene.reader_id)
        send("GET", named, token, None)

    return call


_ITEM_TABLES = {
    "items": "key",
    "contributions": "item",
    "claims": "item",
    "identifier_entries": "item",
    "chains": "dfid",
    "events": "dfid",
    "operations": "dfid",
    "placements": "dfid",
}
_OWN_IDS = ("contribution_id", "event_id", "operation_id", "placement_id", "activity_id")


def _fill(url: str, scene: Scene, placements: int, members: int) -> None:
    """Copy the placed item and a member of the circuit until there are so many."""
    dfid, name = scene.placed[0], "member-1-0"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("create temporary table numbers (n bigint, dfid text)")
        with connection.cursor().copy("copy numbers from stdin") as sink:
            sink.write("".join(f"{n}\t{format_dfid(DAY, n)}\n" for n in range(1, placements - FEW + 1)))
        connection.execute("analyze numbers")
        sisbov = f"{int(FIRST_SISBOV) + 1:015d}"
        changes = {dfid: "numbers.dfid", sisbov: "'0761' || lpad(n::text, 11, '0')"}
        tables = {table: f"t.{column} = '{dfid}'" for table, column in _ITEM_TABLES.items()}
        tables["activity"] = f"t.body::jsonb->'dfids' ? '{dfid}' and t.circuit_id is not null"
        _copy(connection, tables, changes, _OWN_IDS)
        connection.execute("delete from numbers where n > %s", [members - FEW])
        (user_id, home) = connection.execute(
            "select user_id, workspace_id from accounts where username = %s", [name]
        ).fetchone() or ("", "")
        tables = {
            "workspaces": f"t.workspace_id = '{home}'",
            "accounts": f"t.user_id = '{user_id}'",
            "memberships": f"t.user_id = '{user_id}'",
        }
        _copy(connection, tables, {name: f"'{name}-' || n"}, ("user_id", "workspace_id"))
        connection.execute("vacuum analyze")


def _copy(
    connection: psycopg.Connection, tables: Mapping[str, str], changes: Mapping[str, str], own: Sequence[str]
) -> None:
    """Copy the rows that match once per number, with other ids of their own and instants a little earlier."""
    texts = {
        table: [str(row[0]) for row in connection.execute(f"select to_jsonb(t)::text from {table} t where {where}")]
        for table, where in tables.items()
    }
    ids = {
        value
        for rows in texts.values()
        for row in rows
        for key, value in json.loads(row).items()
        if key in own and isinstance(value, str)
    }
    for table, where in tables.items():
        note(f"copying {table}")
        found = "".join(texts[table])
        varied = {**changes, **{one: _NUMBERED % f"'{one}'" for one in ids}}
        varied |= {one: _EARLIER % f"'{one}'" for one in set(_INSTANT.findall(found))}
        varied = {old: new for old, new in varied.items() if old in found}
        columns = connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
            [table],
        ).fetchall()
        chosen = ", ".join(_expression(str(name), str(kind), varied) for name, kind in columns)
        names = ", ".join(f'"{name}"' for name, _ in columns)
        connection.execute(f"insert into {table} ({names}) select {chosen} from {table} t, numbers where {where}")


def _expression(name: str, kind: str, varied: Mapping[str, str]) -> str:
    column = f't."{name}"'
    if kind == "timestamp with time zone":
        return f"{column} - n * interval '1 ms'"
    if kind == "tsvector":
        return "to_tsvector('simple', 'nelore ' || n)"
    if kind in {"boolean", "integer", "bigint", "double precision"}:
        return column
    text = f"{column}::text"
    for old, new in varied.items():
        text = f"replace({text}, '{old}', {new})"
    return f"({text})::{kind}"


OPERATIONS: Mapping[str, Call] = {
    "circuit": _reads("{at}"),
    "circuits of mine": _reads("/api/circuits"),
    "member check, myself": _reads("{at}/members/me"),
    "member check, somebody": _reads("{at}/members/{him}"),
    "item as member": _reads("/api/items/{one}"),
    "placement": _reads("{at}/items/{one}"),
    "placements of an item": _reads("/api/items/{one}/placements"),
    "timeline as member": _reads("/api/events/item/{one}"),
    "explain": _reads("/api/access/explain?action=item.view&dfid={one}"),
    "first page, members": _reads("{at}/members?limit=50"),
    "first page, members by name": _reads("{at}/members?q=mem&limit=50"),
    "first page, members by rare name": _reads("{at}/members?q=read&limit=50"),
    "first page, members by role": _reads("{at}/members?role=owner&limit=50"),
    "first page, items": _reads("{at}/items?limit=50"),
    "first page, items with views": _reads("{at}/items?limit=10&include=item"),
    "first page, items by status": _reads("{at}/items?limit=10&status=active"),
    "first page, items by rare status": _reads("{at}/items?limit=10&status=deprecated"),
    "first page, items placed by": _reads("{at}/items?limit=10&placed_by={him}"),
    "first page, items unpublished": _reads("{at}/items?limit=10&published=false"),
    "first page, items of a workspace": _reads("{at}/items?limit=10&workspace_id={him}"),
    "first page, items of circuits": _reads("/api/items?access=circuit&circuit_id={circuit}&limit=10"),
    "search through a circuit": _reads("/api/items?access=circuit&circuit_id={circuit}&q=nelore&limit=10"),
    "search by rare status": _reads("/api/items?access=circuit&circuit_id={circuit}&status=deprecated&limit=10"),
    "first page, operations": _reads("{at}/operations?limit=10", "owner"),
    "first page, own operations": _reads("{at}/operations?limit=10"),
    "first page, pulls": _reads("{at}/operations?type=pull&limit=10", "owner"),
    "first page, waiting": _reads("{at}/operations/pending", "owner"),
    "first page, requests": _reads("{at}/requests?limit=10", "owner"),
    "first page, activities": _reads("{at}/activities?limit=10"),
    "first page, activities by kind": _reads("{at}/activities?limit=10&kind=circuit_created"),
    "first page, audit": _reads("/api/audit/entries?circuit_id={circuit}&limit=10", "owner"),
    "first page, events of a circuit": _reads("/api/events?circuit_id={circuit}&limit=10"),
    "roles": _reads("{at}/roles"),
    "stats": _reads("{at}/stats", "owner"),
    "public page": _reads("{at}/public", ""),
    "first page, public items": _reads("{at}/public/items?limit=10", ""),
    "preview as member": _reads("{at}/preview?role=viewer&limit=10", "owner"),
    "push": _push,
    "pull": _pull,
    "withdraw": _withdraw,
    "push a draft": _push_local,
    "ask to join": _asks,
    "let in": _lets_in,
    "add a member again": _expelled_and_back,
    "items without pulls": _without_pulls,
}
