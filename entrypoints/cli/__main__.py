"""`python -m entrypoints.cli`: the command line where no console script is installed."""

import sys

from entrypoints.cli.main import run

sys.exit(run())
