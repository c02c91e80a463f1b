"""What people are shown of the configuration, and the reference table (platform.md 11, 17.56)."""

from pathlib import Path

import attrs
import pytest

from application.settings import REGISTRY, Settings, describe, load
from application.settings.describe import markdown, rewritten
from application.settings.types import EncodedKey, Key

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"
ENCODED = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LTAxMjM="


def every_secret() -> dict[str, str]:
    values = {"DATABASE_URL": "postgres://me:canary@db/x?password=canary", "REDIS_URL": "redis://me:canary@r/0"}
    for setting in REGISTRY:
        if isinstance(setting.kind, Key):
            values[setting.name] = f"canary for {setting.name} beyond 32 bytes"
        elif isinstance(setting.kind, EncodedKey):
            values[setting.name] = ENCODED
    return values


def test_no_secret_is_ever_shown():
    settings = load(every_secret())
    shown = f"{describe(settings)!r} {settings!r} {settings}"
    assert "canary" not in shown
    assert ENCODED not in shown


def test_secrets_show_as_set_or_unset_and_urls_without_user_info(environment):
    rows = {row.name: row for row in describe(load(environment | {"PORT": "4000"}))}
    assert rows["JWT_SECRET"].value == "[set]"
    assert rows["DEFARM_METRICS_TOKEN"].value == rows["REDIS_URL"].value == "[unset]"
    assert rows["DATABASE_URL"].value == "postgresql://db:5432/defarm"
    assert attrs.astuple(rows["PORT"]) == ("PORT", "4000", "environment", "3000")
    assert attrs.astuple(rows["DEFARM_STORAGE"]) == ("DEFARM_STORAGE", "postgres", "default", "auto")


@pytest.mark.parametrize("password", ["a/canary", "a@canary", "1?canary@canary", "1/canary", "1#canary"])
def test_a_password_that_should_have_been_escaped_is_not_shown_either(environment, password):
    try:
        shown = repr(describe(load(environment | {"DATABASE_URL": f"postgres://me:{password}@db/x"})))
    except Exception as refused:
        shown = str(refused)
    assert "canary" not in shown


def test_the_registry_is_the_settings_in_order_and_without_repetition(environment):
    rows = describe(load(environment))
    assert [row.name for row in rows] == [setting.name for setting in REGISTRY]
    assert len({setting.name for setting in REGISTRY}) == len(REGISTRY)
    assert len(attrs.fields(Settings)) == len(REGISTRY) + 2


def test_the_operations_guide_holds_the_table_of_the_registry():
    document = OPERATIONS.read_text(encoding="utf-8")
    assert rewritten(document) == document, "run: python -m application.settings docs/operations.md"
    assert all(f"| `{setting.name}`" in markdown() for setting in REGISTRY)
