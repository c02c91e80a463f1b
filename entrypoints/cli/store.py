"""`defarm migrate` and `defarm doctor`."""

from typing import Annotated

import attrs
import typer

from application.settings import Settings
from container import close, container_of
from domain.ports.backing import Schema
from entrypoints.cli.context import FAILED, REFUSED, Halt, output_of, run_async, settings_of
from entrypoints.cli.doctor import CHECKS, examine, known
from entrypoints.cli.findings import Level


def migrate(
    context: typer.Context,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 4 if something is pending.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Change nothing; show what is pending.")] = False,
) -> None:
    """Bring the schema of the store up to this release."""
    output = output_of(context)
    settings = settings_of(context)
    if settings.storage == "memory":
        raise Halt("A store in memory has no schema.", REFUSED)
    schema, applied = run_async(_migrated(settings, change=not (check or plan)))
    document = {"applied": schema.applied, "expected": schema.expected, "pending": schema.pending, "done": applied}

    def shown() -> None:
        for name in applied:
            output.line(f"applied {name}")
        for name in schema.pending:
            output.line(f"pending {name}")
        if not applied and not schema.pending:
            output.line(f"The schema is current (version {schema.applied}).")

    output.result(document, shown)
    if check and schema.pending:
        raise typer.Exit(REFUSED)


async def _migrated(settings: Settings, *, change: bool) -> tuple[Schema, tuple[str, ...]]:
    container = container_of(settings, joins=True)
    try:
        life = container.store_life()
        applied = await life.migrated() if change else ()
        if not change:
            await life.backing.connect()
        return await life.backing.schema(), applied
    finally:
        await close(container)


def doctor(
    context: typer.Context,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as faults.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also hold every row against all invariants.")] = False,
    only: Annotated[str | None, typer.Option(help=f"One check: {', '.join(known())}.")] = None,
) -> None:
    """Examine configuration, files, store and accounts; exit code 1 when something is wrong."""
    output = output_of(context)
    if only is not None and only not in known():
        raise typer.BadParameter(f"there is no check {only}; there are {', '.join(known())}", param_hint="--only")
    settings = settings_of(context)
    findings = run_async(examine(settings, [only] if only else list(known() if deep else CHECKS)))
    output.result(
        [attrs.asdict(finding) for finding in findings],
        lambda: output.table(
            ("", "check", "finding", "hint"),
            ((str(finding.level), finding.check, finding.text, finding.hint) for finding in findings),
        ),
    )
    bad = {Level.FAIL, Level.WARN} if strict else {Level.FAIL}
    if any(finding.level in bad for finding in findings):
        raise typer.Exit(FAILED)
