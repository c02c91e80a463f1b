"""How a file is to be read, and what stops it."""

from enum import StrEnum

import attrs

from application.imports.columns import ColumnMapping
from application.items.requests import OnProblem


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"


class Target(StrEnum):
    """Registered items, or local drafts."""

    ITEMS = "items"
    LOCAL = "local"


class Encoding(StrEnum):
    """`auto` is UTF-8 when the first 64 KiB decode as such, else Windows-1252."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    WINDOWS_1252 = "windows-1252"


class Decimal(StrEnum):
    POINT = "."
    COMMA = ","


@attrs.frozen
class ImportOptions:
    """Options of one import. `delimiter` None is found out from the header line."""

    format: Format = Format.CSV
    target: Target = Target.ITEMS
    dry_run: bool = False
    on_problem: OnProblem = OnProblem.REFUSE
    delimiter: str | None = None
    encoding: Encoding = Encoding.AUTO
    decimal: Decimal = Decimal.POINT
    mapping: ColumnMapping | None = None


class FileFault(Exception):
    """The file cannot be read on; what was committed before stands. `line` counts from 1, `column` too."""

    def __init__(self, code: str, detail: str, line: int, column: int | None = None) -> None:
        place = f"line {line}" + (f", column {column}" if column is not None else "")
        super().__init__(f"{detail} ({place})")
        self.code = code
        self.line = line
        self.column = column
        self.detail = str(self)
