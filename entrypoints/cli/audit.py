"""`defarm audit`: checking the log and taking entries out of it (platform.md 13)."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import attrs
import typer

from application.audit.exporting import Verdict, exported, verify_export
from application.audit.requests import AuditFilter, ExportFormat, Outcome, Severity
from application.audit.signing import NoteSigner
from application.audit.verifying import verify_log
from application.settings import Settings
from application.store_life import STORE_KEY
from domain.access.principal import system
from domain.act import Act
from domain.ports.schema import STORE
from entrypoints.cli.context import DIFFERENT, output_of, run_async, settings_of, store_of

LONGEST_LINE = 1024 * 1024
app = typer.Typer(help="Check the audit log, or take entries out of it.", no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Option(help="Check this export in JSON lines, without a store.", exists=True, dir_okay=False)
    ] = None,
    first: Annotated[
        int, typer.Option("--from", min=0, help="Take entries before this index for their hashes only.")
    ] = 0,
) -> None:
    """Recompute every hash, the tree and all checkpoints; exit code 5 when something does not hold."""
    if file is not None:
        verdict = verify_export(lambda: _lines(file))
    else:
        verdict = run_async(_verified(settings_of(context), first))
    output = output_of(context)
    output.result(attrs.asdict(verdict), lambda: output.line(_said(verdict)))
    if not verdict.valid:
        raise typer.Exit(DIFFERENT)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while line := stream.readline(LONGEST_LINE):
            yield line


async def _verified(settings: Settings, first: int) -> Verdict:
    async with store_of(settings, "GET /api/audit/log/consistency") as container:
        storage = container.storage()
        async with storage.read() as reader:
            record = await reader.get(STORE, STORE_KEY)
        return await verify_log(storage, NoteSigner(record.log_name, settings.log_key), first)


def _said(verdict: Verdict) -> str:
    if verdict.valid:
        return f"{verdict.entries} entries and {verdict.checkpoints} checkpoints hold."
    where = "" if verdict.first_bad_index is None else f" at index {verdict.first_bad_index}"
    return f"This does not hold{where}: {verdict.fault}."


@app.command()
def export(
    context: typer.Context,
    form: Annotated[ExportFormat, typer.Option("--format", help="JSON lines, or CSV.")] = ExportFormat.NDJSON,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead of the standard output.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", help="From this instant on, UTC.")] = None,
    to: Annotated[datetime | None, typer.Option(help="Before this instant, UTC.")] = None,
    actor_user_id: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    key_id: Annotated[str | None, typer.Option(help="Only what this API key did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, or a group as item.*.")] = None,
    resource_kind: Annotated[str | None, typer.Option(help="Only what was done to things of this kind.")] = None,
    resource_id: Annotated[str | None, typer.Option(help="Only what was done to this.")] = None,
    circuit_id: Annotated[str | None, typer.Option(help="Only what happened in this circuit.")] = None,
    workspace_id: Annotated[str | None, typer.Option(help="Only what belongs to this workspace.")] = None,
    outcome: Annotated[list[Outcome] | None, typer.Option(help="Only what ended like this; may be repeated.")] = None,
    severity: Annotated[list[Severity] | None, typer.Option(help="Only what is as severe; may be repeated.")] = None,
    trace_id: Annotated[str | None, typer.Option(help="Only what one request did.")] = None,
) -> None:
    """Take entries out in the order of the log; the last line completes the export."""
    wanted = AuditFilter(
        from_=_utc(since),
        to=_utc(to),
        actor_user_id=actor_user_id,
        key_id=key_id,
        action=action,
        resource_kind=resource_kind,
        resource_id=resource_id,
        circuit_id=circuit_id,
        workspace_id=workspace_id,
        outcome=frozenset(outcome or ()),
        severity=frozenset(severity or ()),
        trace_id=trace_id,
    )
    settings = settings_of(context)
    with out.open("wb") if out is not None else typer.get_binary_stream("stdout") as stream:
        run_async(_exported(settings, wanted, form, stream))


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC)


async def _exported(settings: Settings, wanted: AuditFilter, form: ExportFormat, stream: BinaryIO) -> None:
    async def record(act: Act) -> None:
        await act.audit("audit.exported", ("audit", "entries"), details={"filters": wanted.named})

    async with store_of(settings, "GET /api/audit/export") as container:
        await container.units().perform(system(), record)
        chunks: AsyncIterator[bytes] = exported(container.storage(), wanted, form)
        async for chunk in chunks:
            stream.write(chunk)
