"""Copying, keeping and comparing whole stores (platform.md 13.2, items-events.md 11)."""

from application.moving.comparing import Difference, compared, tallies
from application.moving.copying import Copy, CopyReport, Phase, begun_run
from application.moving.releasing import release, retire
from application.moving.snapshots import SnapshotOut, snapshot

__all__ = [
    "Copy",
    "CopyReport",
    "Difference",
    "Phase",
    "SnapshotOut",
    "begun_run",
    "compared",
    "release",
    "retire",
    "snapshot",
    "tallies",
]
