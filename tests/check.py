"""Everything that must hold before a change lands: `python -m tests.check`.

Lint, format, import contracts, types, then the tests on real servers. Ends at the first that fails.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHON = (sys.executable, "-m")
STEPS: tuple[tuple[str, ...], ...] = (
    (*PYTHON, "ruff", "check", "."),
    (*PYTHON, "ruff", "format", "--check", "."),
    (str(Path(sys.executable).parent / "lint-imports"),),
    (*PYTHON, "mypy"),
    # Tests wait for servers and clocks a good part of their time: one more than there are cores.
    (
        *PYTHON,
        "pytest",
        "-n",
        str(min(4, (os.cpu_count() or 1) + 1)),
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
        "--durations",
        "15",
    ),
)


def main() -> int:
    """Run every step and return the status of the first that fails, else 0."""
    for step in STEPS:
        print("+", " ".join(step), flush=True)
        status = subprocess.run(step, cwd=ROOT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
