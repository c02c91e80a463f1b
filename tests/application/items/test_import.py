"""Imports: what other people's files look like, and what their faults are told as (items-events.md 6.3)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest

from application.imports import ImportOptions, ImportView, Target, mapping_from_options
from application.imports.columns import DataColumn, row_of
from application.imports.options import Decimal, Encoding, Format
from application.imports.reading import rows
from application.items import ItemFilter, OnProblem
from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account
from domain.errors import Refusal
from domain.ids import new_id
from domain.items.values import ImportRow
from domain.ports.errors import Unavailable
from domain.ports.schema import ACCOUNTS, ACTIVITY, IMPORTS, ITEMS, NOTIFICATIONS, PENDING
from entrypoints.http.routes.imports import import_routes
from tests.application.items.conftest import Farm, submission

SICAR = Path(__file__).parents[2] / "data" / "sicar"
MAPPING = mapping_from_options(["cod_imovel=id:car", "FID=ignore", "area=data:area_ha:number"])


async def pieces(content: bytes, size: int = 7) -> AsyncIterator[bytes]:
    """Yield a file in pieces that respect no line and no character."""
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def imported(farm: Farm, content: bytes, options: ImportOptions, size: int = 7) -> ImportView:
    return await farm.imports.run(farm.ana, options, pieces(content, size))


async def results(farm: Farm, view: ImportView) -> list[ImportRow]:
    return list((await farm.imports.rows(farm.ana, view.import_id, limit=200)).items)


@pytest.mark.parametrize("name", ["imoveis-df.csv", "imoveis-mt-sorriso.csv"])
async def test_published_properties_are_imported_once(farm: Farm, name: str) -> None:
    content = (SICAR / name).read_bytes()
    dry = await imported(farm, content, ImportOptions(mapping=MAPPING, dry_run=True))
    assert await farm.rows(ITEMS) == []
    first = await imported(farm, content, ImportOptions(mapping=MAPPING))
    second = await imported(farm, content, ImportOptions(mapping=MAPPING))
    assert dry.counts == first.counts
    assert (first.status, first.counts["created"], second.counts["unchanged"]) == ("completed", 10, 10)
    page = await farm.items.page(farm.ana, ItemFilter())
    assert all(isinstance(item.data["area_ha"], float) for item in page.items)
    assert {item.identifiers[0].evidence for item in page.items} == {"format_ok"}


async def test_38_a_windows_1252_file_with_semicolons_is_read_and_read_again_unchanged(farm: Farm) -> None:
    content = "sisbov;raça\n076000000000001;Nelore mocho à mão\n076000000000002;Guzerá\n".encode("windows-1252")
    dry = await imported(farm, content, ImportOptions(dry_run=True))
    assert await farm.rows(ITEMS) == [] == await farm.rows(PENDING)
    first = await imported(farm, content, ImportOptions())
    again = await imported(farm, content, ImportOptions())
    assert dry.counts == first.counts
    without_ids = {"import_id": "", "dfid": None}
    reports = [[attrs.evolve(row, **without_ids) for row in await results(farm, view)] for view in (dry, first)]
    assert reports[0] == reports[1]
    ids = {"import_id": "", "dry_run": False, "started_at": farm.clock.instant, "finished_at": None}
    assert attrs.evolve(dry, **ids) == attrs.evolve(first, **ids)
    assert {row.dfid for row in await results(farm, dry)} == {None}
    assert (first.counts["created"], again.counts["unchanged"]) == (2, 2)
    page = await farm.items.page(farm.ana, ItemFilter(q="nelore mao"))
    assert [item.data["raça"] for item in page.items] == ["Nelore mocho à mão"]


async def test_rows_see_earlier_rows_of_the_same_dry_run(farm: Farm) -> None:
    content = b"sisbov,lote\n076000000000001,\n076000000000001,7\n"
    dry = await imported(farm, content, ImportOptions(dry_run=True))
    assert [row.outcome for row in await results(farm, dry)] == ["created", "enriched"]


async def test_who_imports_is_told_when_it_has_ended_well_or_not(farm: Farm) -> None:
    views = [
        await imported(farm, content, ImportOptions()) for content in (b"sisbov\n076000000000001\n", b"a,a\n1,2\n")
    ]
    told = {row.source_id: row for row in await farm.rows(NOTIFICATIONS) if row.type == "import_finished"}
    assert {row.user_id for row in told.values()} == {farm.ana.user_id}
    assert [told[view.import_id].data["status"] for view in views] == ["completed", "failed"]
    assert told[views[0].import_id].data["counts"]["created"] == 1


@pytest.mark.parametrize(
    ("content", "options", "failure"),
    [
        (b"", ImportOptions(), ("csv_header_invalid", 1, None)),
        (b"a,a\n1,2\n", ImportOptions(), ("csv_header_invalid", 1, 2)),
        (b"a,\n1,2\n", ImportOptions(), ("csv_header_invalid", 1, 2)),
        (b"peso,data:peso\n1,2\n", ImportOptions(), ("csv_header_invalid", 1, 2)),
        (b"a,b\n1,2\n", ImportOptions(mapping=MAPPING), ("column_unknown", 1, None)),
        (b'lote,b\nx,1\ny,"2\n', ImportOptions(), ("body_unparsable", 3, None)),
        (b"lote\nx\n\xe7\n", ImportOptions(encoding=Encoding.UTF_8), ("encoding_invalid", 3, 1)),
        (b"lote\n" + b"x" * 20_000_000, ImportOptions(), ("body_unparsable", 2, 1024 * 1024)),
    ],
)
async def test_a_fault_of_the_file_ends_the_import_with_its_place(
    farm: Farm, content: bytes, options: ImportOptions, failure: tuple[str, int, int | None]
) -> None:
    view = await imported(farm, content, options, size=65536)
    assert view.status == "failed" and view.failure is not None
    assert (view.failure["code"], view.failure["line"], view.failure["column"]) == failure
    assert await farm.rows(ITEMS) == []


async def test_a_fault_of_a_row_refuses_that_row_and_names_its_column(farm: Farm) -> None:
    content = "\n".join(
        ["sisbov;área;obs", "07600000000000A;1;", "076000000000001;doze;", "1;2;3;4", 'x;"a;', "076000000000002;3;ok"]
    ).encode()
    options = ImportOptions(mapping=mapping_from_options(["área=data:area:number"]))
    view = await imported(farm, content.replace(b'x;"a;\n', b""), options)
    rows = await results(farm, view)
    assert [(row.line, row.outcome) for row in rows] == [
        (2, "refused"),
        (3, "refused"),
        (4, "refused"),
        (5, "created"),
    ]
    assert [(row.errors[0]["code"], row.errors[0]["column"]) for row in rows[:3]] == [
        ("identifier_malformed", "sisbov"),
        ("format", "área"),
        ("too_many", None),
    ]


async def test_a_fault_names_its_column_where_names_begin_alike(farm: Farm) -> None:
    headers = ["peso", "peso_kg", "kg/ha", *(f"id:k{n}" for n in range(10)), "sisbov"]
    cells = ["1", "x", "y", *(str(n) for n in range(10)), "12"]
    options = ImportOptions(mapping=mapping_from_options(["peso_kg=data:peso_kg:number", "kg/ha=data:kg/ha:number"]))
    for names, values in ((headers, cells), (headers[3:], cells[3:])):
        content = ";".join(names) + "\n" + ";".join(values) + "\n"
        mapping = {name: column for name, column in (options.mapping or {}).items() if name in names}
        [row] = await results(farm, await imported(farm, content.encode(), ImportOptions(mapping=mapping)))
        assert [error["column"] for error in row.errors] == (["peso_kg", "kg/ha"] if "peso" in names else ["sisbov"])


async def test_a_header_names_an_identifier_however_it_is_written(farm: Farm) -> None:
    view = await imported(farm, "ID: Número;id:Soja/Lote\n7;L-1\n".encode(), ImportOptions())
    assert view.counts["created"] == 1
    [item] = (await farm.items.page(farm.ana, ItemFilter())).items
    assert {(one.namespace, one.key, one.value) for one in item.identifiers} == {
        ("generic", "numero", "7"),
        ("soja", "lote", "L-1"),
    }


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1.234.567,5", Decimal.COMMA, 1234567.5),
        ("-1.234", Decimal.COMMA, -1234),
        ("412,5", Decimal.COMMA, 412.5),
        ("412.5", Decimal.COMMA, None),
        ("1.23.456", Decimal.COMMA, None),
        ("412.5", Decimal.POINT, 412.5),
        ("1,234.5", Decimal.POINT, None),
    ],
)
def test_a_number_is_read_as_it_is_written_or_not_at_all(cell: str, decimal: Decimal, value: float | None) -> None:
    row = row_of(["a"], [DataColumn("a", "number")], [cell], 2, decimal)
    assert [fault.code for fault in row.faults] == (["format"] if value is None else [])
    assert row.submission is not None and row.submission.data.get("a") == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01T08:00:00-03:00", "2026-03-01"),
        ("2026-03-01x", None),
        ("01/03/26", None),
    ],
)
def test_a_date_is_read_whole(cell: str, value: str | None) -> None:
    row = row_of(["a"], [DataColumn("a", "date")], [cell], 2, Decimal.POINT)
    assert row.submission is not None and row.submission.data.get("a") == value
    assert [fault.code for fault in row.faults] == (["format"] if value is None else [])


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_double_quotes_open_a_cell_only_where_it_begins(size: int) -> None:
    """Rows that only a spreadsheet would leave, with nothing in them, are none."""
    content = (
        'id:lote;obs\r\n1;cano 5"\r\n2;"um ""dois""\r\n;três"\r\n;\r\n"3";5"x"\r\n"";""\r\n4;"a,"\r\n5;,"b\r\n'
    ).encode()
    read = [(row.line, row.submission, row.faults) async for row in rows(pieces(content, size), ImportOptions())]
    given = [(line, one.identifiers[0].value, one.data["obs"]) for line, one, _ in read if one is not None]
    assert given == [
        (2, "1", 'cano 5"'),
        (3, "2", 'um "dois"\r\n;três'),
        (6, "3", '5"x"'),
        (8, "4", "a,"),
        (9, "5", ',"b'),
    ]
    assert not [faults for _, _, faults in read if faults]


async def test_ndjson_lines_are_create_bodies_taken_strictly(farm: Farm) -> None:
    content = b"""{"identifiers":[{"key":"lote","value":"1"}],"data":{"peso":1.5}}

{"identifiers":[{"key":"lote","value":2}],"user_id":"x"}
{"identifiers":[{"key":"lote","value":"a\\u0000"}],"data":{"n":9007199254740992}}
{"data":{"a":1,"a":2}}
{oops
"""
    view = await imported(farm, content, ImportOptions(format=Format.NDJSON))
    rows = await results(farm, view)
    assert [(row.line, row.outcome) for row in rows] == [
        (1, "created"),
        (3, "refused"),
        (4, "refused"),
        (5, "refused"),
        (6, "refused"),
    ]
    assert {(error["code"], error["pointer"]) for row in rows[1:3] for error in row.errors} == {
        ("type", "/identifiers/0/value"),
        ("unknown_field", "/user_id"),
        ("identifier_malformed", "/identifiers/0/value"),
        ("number_out_of_range", "/data/n"),
    }


@pytest.mark.parametrize("target", list(Target))
async def test_no_line_of_a_file_brings_what_no_request_could(farm: Farm, target: Target) -> None:
    long = json.dumps("x" * 257)
    lines = [
        (f'{{"identifiers":[{{"key":"lote","value":{long}}}]}}', "too_long", "/identifiers/0/value"),
        ('{"identifiers":[{"key":"lote","value":"\\ud800"}]}', "text_not_allowed", "/identifiers/0/value"),
        ('{"aliases":[{"scheme":"erp","value":"a\\u0000"}]}', "text_not_allowed", "/aliases/0/value"),
        (f'{{"aliases":[{{"scheme":"erp","value":{long}}}]}}', "too_long", "/aliases/0/value"),
        ('{"aliases":[{"scheme":"erp","value":""}]}', "required", "/aliases/0/value"),
        ('{"aliases":[{"scheme":"ERP","value":"7"}]}', "format", "/aliases/0/scheme"),
        ('{"aliases":[{"scheme":"lid","value":"7"}]}', "alias_scheme_reserved", "/aliases/0/scheme"),
    ]
    content = "\n".join(line for line, _, _ in lines).encode()
    options = ImportOptions(format=Format.NDJSON, target=target, on_problem=OnProblem.QUEUE)
    view = await imported(farm, content, options)
    assert view.counts["refused"] == len(lines)
    told = [{(error["code"], error["pointer"]) for error in row.errors} for row in await results(farm, view)]
    for (_, code, pointer), found in zip(lines, told, strict=True):
        malformed = pointer.startswith("/identifiers") and target is Target.ITEMS
        assert ("identifier_malformed" if malformed else code, pointer) in found


async def test_too_many_rows_fail_and_keep_the_whole_units_before(farm: Farm) -> None:
    farm.imports.max_rows = 1500
    content = b"lote\n" + b"".join(b"L%d\n" % n for n in range(1600))
    view = await imported(farm, content, ImportOptions(), size=65536)
    assert view.failure is not None and view.failure["code"] == "too_many_rows"
    assert view.rows_read == 1000


async def test_drafts_can_be_imported(farm: Farm) -> None:
    view = await imported(farm, b"sisbov,peso\nxx,1\n,2\n", ImportOptions(target=Target.LOCAL))
    assert view.counts["created"] == 2
    drafts = (await farm.items.drafts(farm.ana)).items
    assert {identifier.evidence for draft in drafts for identifier in draft.identifiers} == {"malformed"}


async def test_a_broken_connection_leaves_a_reported_prefix(farm: Farm) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"lote\n" + b"".join(b"L%d\n" % n for n in range(12_000))
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await farm.imports.run(farm.ana, ImportOptions(), broken())
    [view] = (await farm.imports.page(farm.ana)).items
    assert view.status == "interrupted"
    assert view.rows_read % 1000 == 0


async def test_an_import_is_one_entry_of_activity_and_its_conflicts_are_told_once(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("application.imports.service.ROWS_PER_UNIT", 2)
    colleague = Account(
        new_id(), str(farm.ana.workspace_id), "bea", "bea@example.com", None, farm.clock.now(), farm.clock.now(),
        workspace_role=WorkspaceRole.MANAGER,
    )  # fmt: skip
    async with farm.storage.write() as unit:
        await unit.add(ACCOUNTS, colleague)
    for number in range(1, 7, 2):
        await farm.items.create(farm.rui, submission(("sisbov", f"076{number:012d}")))
    view = await imported(farm, b"sisbov\n" + b"".join(b"076%012d\n" % n for n in range(1, 7)), ImportOptions())
    assert (view.counts["created"], view.counts["pending"]) == (3, 3)
    (entry,) = await farm.rows(ACTIVITY, kind="items_imported")
    created = [row.dfid for row in await results(farm, view) if row.outcome == "created"]
    assert (entry.item_count, list(entry.dfids), entry.data["counts"]) == (3, created, view.counts)
    told = [row for row in await farm.rows(NOTIFICATIONS) if row.type == "identifier_conflict"]
    assert [(row.user_id, row.source_id) for row in told] == [(colleague.user_id, view.import_id)]
    dry = await imported(farm, b"sisbov\n076000000000009\n", ImportOptions(dry_run=True))
    assert dry.counts["created"] == 1 and len(await farm.rows(ACTIVITY, kind="items_imported")) == 1


async def test_an_import_that_a_crash_cut_off_is_reported_as_interrupted(farm: Farm) -> None:
    begun = farm.clock.now()
    view = await imported(farm, b"lote\n1\n", ImportOptions())
    [stored] = await farm.rows(IMPORTS)
    async with farm.storage.write() as unit:
        await unit.save(IMPORTS, attrs.evolve(stored, status="running", finished_at=None, version=stored.version + 1))
    [asks] = [route.unfinished for route in import_routes(farm.imports) if route.operation_id == "import_get"]
    running = await farm.imports.get(farm.ana, view.import_id)
    assert asks is not None
    assert (running.status, asks(running), asks(view)) == ("running", True, False)
    farm.clock.instant = begun + timedelta(minutes=16)
    assert (await farm.imports.get(farm.ana, view.import_id)).status == "interrupted"
    assert [one.status for one in (await farm.imports.page(farm.ana)).items] == ["interrupted"]


async def test_a_unit_that_fails_while_the_next_rows_are_awaited_ends_the_import(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, commits, commit = asyncio.Event(), count(), farm.storage.backend.commit

    async def held() -> AsyncIterator[bytes]:
        yield b"lote,nota\n" + b"".join(b"L%d,%s\n" % (n, b"x" * 80) for n in range(1000))
        try:
            await asyncio.sleep(600)
        finally:
            left.set()

    async def failing(*changes: Any) -> None:
        if next(commits) == 1:
            await asyncio.sleep(0.05)
            raise Unavailable("gone for a moment")
        await commit(*changes)

    monkeypatch.setattr(farm.storage.backend, "commit", failing)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(farm.imports.run(farm.ana, ImportOptions(), held()), 30)
    assert left.is_set()
    [view] = (await farm.imports.page(farm.ana)).items
    assert (view.status, view.rows_read) == ("interrupted", 0)


async def test_a_store_that_fails_in_the_middle_leaves_no_import_running(farm: Farm) -> None:
    takes, write = count(), farm.storage.write

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(farm.storage, name)

        def write(self) -> Any:
            if next(takes) == 1:
                raise Unavailable("gone for a moment")
            return write()

    farm.units.storage = Failing()
    with pytest.raises(Unavailable):
        await imported(farm, b"lote\n1\n", ImportOptions())
    [view] = (await farm.imports.page(farm.ana)).items
    assert (view.status, view.rows_read) == ("interrupted", 0)


async def test_an_import_of_another_workspace_does_not_exist(farm: Farm) -> None:
    view = await imported(farm, b"lote\n1\n", ImportOptions())
    with pytest.raises(Refusal, match="not_found"):
        await farm.imports.get(farm.rui, view.import_id)
