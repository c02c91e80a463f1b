"""Words and links of notifications (platform.md 8.1)."""

import re
from pathlib import Path

import msgspec

from application.notifications.texts import catalogue

DOCUMENT = Path(__file__).parents[3] / "docs/openapi.json"


def test_every_link_is_a_path_that_can_be_read() -> None:
    paths = msgspec.json.decode(DOCUMENT.read_bytes())["paths"]
    readable = {re.sub(r"\{\w+\}", "{}", path) for path, methods in paths.items() if "get" in methods}
    links = {words.link for words in catalogue().values() if words.link is not None}
    assert {link for link in links if re.sub(r"\{\w+\}", "{}", link) not in readable} == set()
