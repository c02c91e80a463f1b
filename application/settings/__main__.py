"""`python -m application.settings docs/operations.md` writes the reference table anew."""

import sys
from pathlib import Path

from application.settings.describe import rewritten

for path in map(Path, sys.argv[1:]):
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
