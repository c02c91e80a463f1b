"""`defarm storage`: whole stores copied, kept, brought back and compared (platform.md 13)."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import attrs
import typer

from application.invariants import breaches
from application.measuring import LOOKS, measured
from application.moving import Copy, CopyReport, begun_run, compared, tallies
from application.moving import release as released
from application.moving import retire as retired
from application.moving.reading import Progress
from application.settings import Settings
from container import close, container_of, opened, place, write_snapshot
from domain.identifiers.personal import DataKeyLocked, unwrap_data_key
from domain.items.storage_records import StoreName
from domain.ports.clock import SystemClock
from domain.ports.moving import PARTS, Source, Target
from domain.store import StoreRecord, Tally
from entrypoints.cli.context import DIFFERENT, REFUSED, Halt, output_of, run_async, settings_of
from entrypoints.cli.findings import opened_store
from entrypoints.cli.output import Output, console

app = typer.Typer(help="Copy, keep and compare whole stores.", no_args_is_help=True, rich_markup_mode=None)

SHOWN = 100
_SPEC = "a PostgreSQL URL, embedded:DIR, file:PATH, or env for the configured store"
From = Annotated[str, typer.Option("--from", help=f"Where from: {_SPEC}.")]
To = Annotated[str, typer.Option("--to", help=f"Where to: {_SPEC}.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with one that was interrupted.")]
Verify = Annotated[bool, typer.Option("--verify/--no-verify", help="Compare all rows and check all event chains.")]


@app.command()
def copy(
    context: typer.Context,
    source: From,
    target: To,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows of a transaction in the target.")] = 1000,
    verify: Verify = True,
    resume: Resume = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be copied; change nothing.")] = False,
    yes: Yes = False,
) -> None:
    """Copy a whole store into an empty one; the source takes no changes until `storage release`."""
    output, settings = output_of(context), settings_of(context)
    if target.startswith("file:"):
        raise Halt("A store is kept in a file by: defarm storage snapshot FILE --from SPEC", REFUSED)
    if dry_run:
        _tell_plan(output, run_async(_planned(settings, source, target, resume)))
        return
    if not source.startswith("file:"):
        _sure(yes, f"{_named(settings, source)} will take no changes until `defarm storage release`. Go on?")
    report = run_async(
        _copied(output, settings, source, target, verify=verify, resume=resume, keeps=False, batch=batch)
    )
    _tell_report(output, report)


@app.command()
def snapshot(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to be made.")],
    source: From = "env",
) -> None:
    """Keep a whole store, as it is at one instant, in one file; it may be in use meanwhile."""
    output, settings = output_of(context), settings_of(context)
    if not file.absolute().parent.is_dir():
        raise Halt(f"There is no directory {file.parent}.", REFUSED)

    async def work() -> tuple[Tally, ...]:
        with _progress(output) as tell:
            async with _opened(settings, source) as held:
                return await write_snapshot(held, file, _store_name(settings, source), SystemClock(), tell)

    found = run_async(work())
    rows = sum(tally.rows for tally in found)
    size = file.stat().st_size
    document = {"file": str(file), "rows": rows, "bytes": size, "tallies": [attrs.asdict(tally) for tally in found]}
    output.result(document, lambda: output.line(f"{rows:,} rows in {file} ({size:,} bytes)."))
    output.say(_CARRY)


@app.command()
def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `storage snapshot` made.")],
    target: To = "env",
    verify: Verify = True,
    resume: Resume = False,
) -> None:
    """Bring a store back from a file into an empty database; it is the same store again."""
    output, settings = output_of(context), settings_of(context)
    if not file.is_file():
        raise Halt(f"There is no file {file}.", REFUSED)
    report = run_async(_copied(output, settings, f"file:{file}", target, verify=verify, resume=resume, keeps=True))
    _tell_report(output, report)


@app.command("verify")
def verify_stores(
    context: typer.Context,
    source: From = "env",
    target: Annotated[str | None, typer.Option("--to", help=f"Another store to compare with: {_SPEC}.")] = None,
) -> None:
    """Compare two stores, or check chains, claims and references of one; exit code 5 when something is wrong."""
    output, settings = output_of(context), settings_of(context)
    found, faults = run_async(_verified(output, settings, source, target))
    rows = sum(tally.rows for tally in found)
    document = {"rows": rows, "tallies": [attrs.asdict(tally) for tally in found], "faults": faults}

    def shown() -> None:
        for fault in faults[:SHOWN]:
            output.line(fault)
        against = f" and {_named(settings, target)}" if target is not None else ""
        verdict = f"{len(faults)} faults" if faults else "all is well"
        output.line(f"{_named(settings, source)}{against}: {rows:,} rows, {verdict}.")

    output.result(document, shown)
    if faults:
        raise typer.Exit(DIFFERENT)


@app.command()
def release(
    context: typer.Context,
    source: From,
    retire: Annotated[
        bool, typer.Option("--retire", help="Declare it out of use instead: the configured store took over.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Let the source of a copy take changes again, or declare it out of use for good."""
    output, settings = output_of(context), settings_of(context)
    name = _named(settings, source)
    if retire and name == _named(settings, "env"):
        raise Halt("This is the configured store; configure the one that took over, and name this one.", REFUSED)
    _sure(
        yes,
        f"{name} will never take changes again. Go on?"
        if retire
        else f"{name} and the copies of it will differ from now on. Go on?",
    )
    document = run_async(_ended(settings, source, retire=retire))
    told = f"{name} is out of use; {document.get('items', 0)} items know it." if retire else f"{name} takes changes."
    output.result(document, lambda: output.line(told))


async def _ended(settings: Settings, source: str, *, retire: bool) -> dict[str, Any]:
    async with _opened(settings, source) as held:
        target = _target(held)
        if not retire:
            record = await released(target, SystemClock())
            return {"store_id": record.store_id, "read_only": record.read_only}
        async with opened(container_of(settings, joins=True)) as container:
            items = await retired(target, container.units())
        return {"retired": True, "items": items}


@asynccontextmanager
async def _opened(settings: Settings, spec: str, batch: int = 1000) -> AsyncIterator[Any]:
    """Hold one end of a copy for the time of the block."""
    held = place(settings, spec, batch)
    try:
        yield held
    finally:
        await held.aclose()


def _target(held: Any) -> Target:
    """Return an end of a copy as one that can be written to. Raises Halt for a file."""
    if not hasattr(held, "take"):
        raise Halt(f"{held.name} is a file; name a store.", REFUSED)
    found: Target = held
    return found


async def _copied(
    output: Output,
    settings: Settings,
    source: str,
    target: str,
    *,
    verify: bool,
    resume: bool,
    keeps: bool,
    batch: int = 1000,
) -> CopyReport:
    async with _opened(settings, source, batch) as origin, _opened(settings, target) as into:
        with _progress(output) as tell:
            work = Copy(
                source=origin,
                target=_target(into),
                origin=_store_name(settings, source, origin),
                place=_store_name(settings, target),
                clock=SystemClock(),
                tell=tell,
                verify=verify,
                keeps_identity=keeps,
            )
            report = await work.run(resume=resume)
        record = await _target(into).bears()
        if record is not None and _locked(settings, record):
            output.say("warning: DEFARM_SECRET_KEY of this configuration does not open the copy.")
    return report


async def _planned(settings: Settings, source: str, target: str, resume: bool) -> dict[str, int]:
    """Return how many rows each part has, after seeing that the copy could begin. Changes nothing."""
    async with _opened(settings, source) as origin, _opened(settings, target) as into:
        held: Source = origin
        record = await _target(into).bears()
        filled = [] if record is not None else await _planned_filled(into)
        sealed = await held.sealed()
        begun_run(into.name, record, filled, None if sealed is None else sealed.state, resume=resume)
        async with held.standing() as rows:
            return {part.name: await rows.count(part) for part in PARTS}


async def _planned_filled(into: Any) -> list[str]:
    found: list[str] = await _target(into).filled()
    return found


async def _verified(
    output: Output, settings: Settings, source: str, target: str | None
) -> tuple[tuple[Tally, ...], list[str]]:
    with _progress(output) as tell:
        async with _opened(settings, source) as here:
            if target is None:
                return await _of_one(here, tell)
            async with _opened(settings, target) as there:
                found, other = await _tallies(here, there, tell)
                return found, [str(one) for one in compared(found, other)]


async def _tallies(here: Source, there: Source, tell: Progress) -> tuple[tuple[Tally, ...], tuple[Tally, ...]]:
    """Return the tallies of two stores, without what each of them says of its own beginning as a copy."""
    async with here.standing() as one, there.standing() as other:
        ids = one.record.store_id, other.record.store_id
        left = tuple(None if ids[0] == ids[1] else each for each in ids)
        return (
            await tallies(one, tell, without_copy_into=left[0]),
            await tallies(other, tell, without_copy_into=left[1]),
        )


async def _of_one(here: Source, tell: Progress) -> tuple[tuple[Tally, ...], list[str]]:
    async with here.standing() as held:
        found = await tallies(held, tell)
    if not hasattr(here, "take"):
        return found, []
    storage = _target(here).storage
    faults = [f"{one.facet} {one.key}: {one.what}" async for one in breaches(storage)]
    return found, faults


def _locked(settings: Settings, record: StoreRecord) -> bool:
    for key in filter(None, (settings.secret_key, settings.secret_key_previous)):
        try:
            unwrap_data_key(key, record.wrapped_data_key)
        except DataKeyLocked:
            continue
        return False
    return True


@app.command()
def status(context: typer.Context) -> None:
    """Show the configured store: mode, schema, sizes, what waits, and whether it takes changes."""
    output, settings = output_of(context), settings_of(context)
    document = run_async(_status(settings))

    def shown() -> None:
        for name, value in document.items():
            if not isinstance(value, dict):
                output.line(f"{name.replace('_', ' ')}: {'–' if value is None else value}")
        output.table(("part", "rows", "bytes"), _sizes(document["parts"]), styles=("bold",))

    output.result(document, shown)


def _sizes(parts: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, (rows, size) in parts.items():
        if rows:
            yield name, f"{rows:,}", f"{size:,}"


async def _status(settings: Settings) -> dict[str, Any]:
    async with _opened(settings, "env") as held:
        store = _target(held)
        record = await store.bears()
        container = container_of(settings, joins=True)
        try:
            await opened_store(container)
            schema = await container.backing().schema()
            report = await container.cache_control().report()
            waiting = {one.name: one.values for one in await measured(container.storage(), container.clock(), LOOKS)}
        finally:
            await close(container)
        parts = {name: (size.rows, size.bytes) for name, size in (await held.sizes()).items()}
    return {
        "mode": settings.storage,
        "place": held.name,
        "store_id": None if record is None else record.store_id,
        "label": settings.store_label,
        "takes_changes": record is not None and not record.read_only and record.copying is None,
        "retired": record is not None and record.retired,
        "unfinished_copy": None if record is None or record.copying is None else record.copying.run_id,
        "schema": schema.applied,
        "schema_expected": schema.expected,
        "bytes": sum(size for _, size in parts.values()),
        "outbox_waiting": int(sum(waiting["outbox_pending"].values())),
        "outbox_oldest_seconds": max(waiting["outbox_oldest_seconds"].values(), default=0.0),
        "outbox_given_up": int(sum(waiting["outbox_dead"].values())),
        "audit_unsequenced": int(sum(waiting["audit_unsequenced"].values())),
        "write_behind_units": None if report.write_behind is None else report.write_behind.queued,
        "write_behind_seconds": None if report.write_behind is None else report.write_behind.oldest_seconds,
        "pending_invalidations": report.pending,
        "parts": parts,
    }


def _named(settings: Settings, spec: str) -> str:
    name: str = place(settings, spec).name
    return name


def _store_name(settings: Settings, spec: str, held: Any = None) -> StoreName:
    """Return how the storage history calls a store, its id aside: that is told by the store itself."""
    if spec == "env":
        return StoreName("", settings.storage, settings.store_label)
    if held is not None and spec.startswith("file:"):
        header, _ = held.checked()
        found: StoreName = header.store
        return found
    return StoreName("", "postgres", None)


def _sure(yes: bool, question: str) -> None:
    """Ask before what cannot be taken back by itself. Raises Halt without a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Halt("There is no terminal to ask; say --yes.", REFUSED)
    typer.confirm(question, abort=True, err=True)


_CARRY = (
    "Carry over JWT_SECRET, DEFARM_SECRET_KEY and DEFARM_LOG_KEY with it: tokens, API keys, webhook secrets and"
    " personal identifiers work under the same keys only."
)


def _tell_plan(output: Output, parts: dict[str, int]) -> None:
    rows = sum(parts.values())

    def shown() -> None:
        output.table(("part", "rows"), ((name, f"{number:,}") for name, number in parts.items() if number))
        output.line(f"{rows:,} rows would be copied; nothing was changed.")

    output.result({"rows": rows, "parts": parts}, shown)


def _tell_report(output: Output, report: CopyReport) -> None:
    rows = sum(tally.rows for tally in report.tallies)
    document = attrs.asdict(report, recurse=False) | {
        "rows": rows,
        "sound": report.sound,
        "tallies": [attrs.asdict(tally) for tally in report.tallies],
        "differences": [attrs.asdict(one) for one in report.differences],
    }

    def shown() -> None:
        for difference in report.differences:
            output.line(str(difference))
        for dfid in report.broken[:SHOWN]:
            output.line(f"{dfid}: the event chain is broken (defarm items verify {dfid})")
        resumed = ", resumed" if report.resumed else ""
        output.line(f"{rows:,} rows in {len(report.tallies)} parts{resumed}, {report.recorded:,} items recorded.")
        if not report.sound:
            output.line("The copy is not like its source and stays unusable; empty the target and start again.")
        elif report.verified:
            output.line(f"Every part is equal on both sides, {report.chains:,} event chains are whole.")

    output.result(document, shown)
    if not report.sound:
        raise typer.Exit(DIFFERENT)
    output.say(_CARRY)


@contextmanager
def _progress(output: Output) -> Iterator[Progress]:
    """Show a bar of the part under way on a terminal; yields what takes note."""
    if output.quiet or not sys.stderr.isatty():
        yield lambda part, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        tasks: dict[str, Any] = {}
        begun: dict[str, tuple[float, int]] = {}

        def tell(part: str, done: int, total: int) -> None:
            if part not in tasks:
                for other in tasks.values():
                    bar.update(other, visible=False)
                tasks[part] = bar.add_task(part, total=total, rate="–")
                begun[part] = monotonic(), done
            since, before = begun[part]
            rate = f"{(done - before) / max(monotonic() - since, 1e-3):,.0f}"
            bar.update(tasks[part], completed=done, total=total, rate=rate)

        yield tell
