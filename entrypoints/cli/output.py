"""What commands print: results on stdout, everything else on stderr (platform.md 13)."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

import attrs

from domain.instants import wire


@attrs.frozen
class Output:
    """`as_json` prints one document per command, `quiet` no messages but errors."""

    as_json: bool = False
    quiet: bool = False

    def result(self, document: Any, shown: Callable[[], None]) -> None:
        """Print the result of a command: the document, or what `shown` prints for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2, default=_told) + "\n")
        else:
            shown()

    def line(self, text: str) -> None:
        """Print one line of a result."""
        sys.stdout.write(f"{text}\n")

    def say(self, message: str) -> None:
        """Print a message."""
        if not self.quiet:
            sys.stderr.write(f"{message}\n")

    def fail(self, message: str) -> None:
        """Print an error."""
        sys.stderr.write(f"{message}\n")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
        """Print rows; in colour on a terminal, as wide as needed elsewhere."""
        from rich.table import Table  # noqa: PLC0415 -- the server does not need it

        table = Table(box=None, pad_edge=False, header_style="bold")
        for number, column in enumerate(columns):
            table.add_column(column, style=styles[number] if number < len(styles) else None, overflow="fold")
        for row in rows:
            table.add_row(*row)
        console(sys.stdout).print(table)


def console(stream: TextIO) -> Any:
    """Return a rich console on a stream. Off a terminal lines are not wrapped and nothing is coloured."""
    from rich.console import Console  # noqa: PLC0415 -- the server does not need it

    return Console(file=stream, width=None if stream.isatty() else 400, highlight=False, markup=False, soft_wrap=True)


def _told(value: Any) -> str:
    return wire(value) if isinstance(value, datetime) else str(value)
