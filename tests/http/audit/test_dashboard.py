"""Numbers, retention and the command line of the audit (platform.md 6.1, 6.8, 13, 17)."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from application.audit.signing import NoteSigner
from application.audit.verifying import verify_log
from application.retention import Retention
from domain.access.principal import system
from domain.act import Act
from domain.ids import new_id
from domain.ports.queries import Select
from domain.ports.schema import ACTIVITY, AUDIT, NOTIFICATIONS
from entrypoints.cli.main import run
from tests.http.audit.conftest import Watched


async def test_the_numbers_are_those_of_the_entries(watched: Watched) -> None:
    for number in range(3):
        await watched.region.item(watched.region.ana, str(number))
    await watched.visitor.post("/api/auth/login", json={"username": "ana", "password": "wrong"})
    await watched.seal()
    entries = await watched.entries()
    await watched.admin.client.get("/api/audit/incidents")
    answer = await watched.admin.client.get("/api/audit/dashboard")
    shown = answer.json()
    assert answer.status_code == 200, shown
    # The list above was audited too, and that entry is not sealed yet.
    assert shown["entries"] == {"total": len(entries), "last_24h": len(entries), "last_7d": len(entries)}
    outcomes = Counter(entry["outcome"] for entry in entries)
    assert shown["by_outcome"] == {"success": outcomes["success"], "denied": 1, "failed": 0}
    assert shown["by_group"] == dict(sorted(Counter(entry["action"].split(".")[0] for entry in entries).items()))
    assert sum(day["total"] for day in shown["by_day"]) == len(entries)
    assert sum(shown["failed_logins_by_day"].values()) == 1
    actors = Counter(entry["actor"]["user_id"] for entry in entries if entry["actor"]["user_id"])
    assert {top["user_id"]: top["count"] for top in shown["top_actors"]} == actors
    assert (shown["log"]["tree_size"], shown["log"]["unsequenced"]) == (len(entries), 1)
    too_long = {"from": "2024-01-01", "to": "2026-01-01"}
    assert (await watched.admin.client.get("/api/audit/dashboard", params=too_long)).status_code == 422
    assert (await watched.region.ana.client.get("/api/audit/dashboard")).status_code == 403
    nothing = (await watched.admin.client.get("/api/audit/dashboard", params={"to": "2020-01-01"})).json()
    assert (nothing["entries"]["total"], nothing["by_day"], nothing["top_actors"]) == (0, [], [])


async def test_what_is_past_its_time_goes_and_every_proof_stays(watched: Watched) -> None:
    region, container = watched.region, watched.container
    await region.circuit(region.bia)
    await watched.seal()
    units = container.units()
    later = Later(timedelta(days=366))
    aged = attrs.evolve(units, clock=later)
    await Retention(aged, activity_days=730, personal_days=365, import_days=90).prune()
    async with container.storage().read() as reader:
        entries = (await reader.page(AUDIT, Select(), limit=1000)).items
        assert {(entry.personal, entry.personal_salt) for entry in entries} == {(None, None)}
        assert any(entry.personal_digest for entry in entries)
        assert (await reader.page(ACTIVITY, Select())).items
        assert not (await reader.page(NOTIFICATIONS, Select())).items
    assert (await verify_log(container.storage(), NoteSigner(""))).valid
    await Retention(aged, activity_days=30, personal_days=365, import_days=90).prune()
    async with container.storage().read() as reader:
        assert not (await reader.page(ACTIVITY, Select())).items


@attrs.frozen
class Later:
    """The clock, some time ahead."""

    by: timedelta

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by


async def test_a_user_keeps_so_many_notifications_and_read_ones_go_first(watched: Watched) -> None:
    user, units = watched.region.caio, watched.container.units()

    async def tell(act: Act) -> None:
        for _ in range(6):
            await act.notify("account_updated", [user.user_id], source_id=new_id(), data={"changed": ["email"]})

    await units.perform(system(), tell)
    newest = (await user.client.get("/api/notifications")).json()["items"][0]
    await user.client.patch(f"/api/notifications/{newest['notification_id']}", json={"read": True})
    await Retention(units, 730, 365, 90, most_per_user=3).prune()
    left = (await user.client.get("/api/notifications")).json()["items"]
    assert [entry["position"] for entry in left] == [5, 4, 3]


async def test_an_export_is_verified_by_command_without_a_store(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await watched.region.item(watched.region.ana, "1")
    await watched.seal()
    exported = (await watched.admin.client.get("/api/audit/export")).content
    file = tmp_path / "audit.ndjson"
    file.write_bytes(exported)
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@localhost:1/none")
    assert run(["audit", "verify", "--file", str(file)]) == 0
    file.write_bytes(exported.replace(b'"count":1', b'"count":2', 1))
    assert run(["audit", "verify", "--file", str(file)]) == 5
    assert "at index 0" in capsys.readouterr().out
