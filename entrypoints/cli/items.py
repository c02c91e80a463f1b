"""`defarm items`: the event chains of a store checked (platform.md 13)."""

from typing import Annotated, Any

import attrs
import typer

from application.events.views import Verification
from application.settings import Settings
from domain.items.dfid import parse_dfid
from entrypoints.cli.context import DIFFERENT, USAGE, Halt, output_of, run_async, settings_of, store_of
from entrypoints.cli.output import Output

app = typer.Typer(help="Examine items.", no_args_is_help=True, rich_markup_mode=None)

_EVERY = 10_000


@app.callback()
def _items() -> None:
    """Keep `verify` a command of its own name."""


@app.command("verify")
def verify(
    context: typer.Context,
    dfids: Annotated[
        list[str] | None, typer.Argument(metavar="DFID...", help="Items whose chains are checked.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every item of the store.")] = False,
) -> None:
    """Recompute event chains; exit code 5 when one of them is broken."""
    if every == bool(dfids):
        raise Halt("Name items, or say --all.", USAGE)
    named = [_dfid(text) for text in dfids or ()]
    output, settings = output_of(context), settings_of(context)
    checked, shown = run_async(_verified(output, settings, named))
    broken = sum(not one.valid for one in shown)
    document: dict[str, Any] = {"checked": checked, "broken": broken, "chains": [attrs.asdict(one) for one in shown]}

    def tell() -> None:
        for one in shown:
            output.line(_line(one))
        output.line(f"{checked} chains checked, {broken} broken.")

    output.result(document, tell)
    if broken:
        raise typer.Exit(DIFFERENT)


def _dfid(text: str) -> str:
    dfid = parse_dfid(text)
    if dfid is None:
        raise Halt(f"{text} is no DFID.", USAGE)
    return dfid


async def _verified(output: Output, settings: Settings, named: list[str]) -> tuple[int, list[Verification]]:
    """Return how many chains were checked, and the results: of all that were named, else of the broken ones."""
    async with store_of(settings, "GET /api/events/item/{dfid}/verify") as container:
        events = container.events()
        if named:
            shown = await events.verify_chains(named)
            return len(shown), shown
        checked, broken = 0, []
        async for results in events.verify_all():
            broken += [one for one in results if not one.valid]
            if (checked + len(results)) // _EVERY > checked // _EVERY:
                output.say(f"{checked + len(results)} chains checked")
            checked += len(results)
        return checked, broken


def _line(one: Verification) -> str:
    if one.first_fault is None:
        erased = f", {one.erased} erased" if one.erased else ""
        return f"{one.dfid}: valid, {one.length} events{erased}"
    return f"{one.dfid}: broken at position {one.first_fault.position}: {one.first_fault.fault}"
