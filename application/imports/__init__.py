"""Importing items from CSV and NDJSON (items-events.md 6.3)."""

from application.imports.columns import ColumnMapping, mapping_from_document, mapping_from_options
from application.imports.options import ImportOptions, Target
from application.imports.service import Imports, ImportView

__all__ = [
    "ColumnMapping",
    "ImportOptions",
    "ImportView",
    "Imports",
    "Target",
    "mapping_from_document",
    "mapping_from_options",
]
