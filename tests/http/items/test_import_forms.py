"""Imports sent as forms (items-events.md 6.3)."""

import json

from tests.http.events.conftest import Farm, farm

__all__ = ["farm"]

CSV = "número\n7\n"
MAPPING = json.dumps({"columns": {"número": {"identifier": {"key": "lote"}}}})
LINE = json.dumps({"identifiers": [{"key": "lote", "value": "8"}]})


async def test_a_form_has_its_mapping_before_its_one_file(farm: Farm) -> None:
    mapping, file = ("mapping", (None, MAPPING)), ("file", ("gado.csv", CSV, "text/csv"))
    for parts, status in (([mapping, file], 200), ([file, mapping], 400), ([mapping, file, file], 400)):
        answer = await farm.ana.client.post("/api/items/import", files=parts)
        assert answer.status_code == status, answer.text
    listed = (await farm.ana.client.get("/api/items/imports")).json()["items"]
    assert [(one["status"], one["rows_read"]) for one in listed] == [
        ("interrupted", 0),
        ("interrupted", 0),
        ("completed", 1),
    ]


async def test_the_name_of_a_file_tells_its_format_where_its_type_does_not(farm: Farm) -> None:
    file = ("file", ("gado.NDJSON", LINE, "application/octet-stream"))
    answer = await farm.ana.client.post("/api/items/import", files=[file])
    assert (answer.json()["format"], answer.json()["counts"]["created"]) == ("ndjson", 1)
