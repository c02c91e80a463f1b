"""A test run that is told to end."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SWALLOWED = """
import contextlib, os, signal

def test_first():
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    assert not "what was interrupted"

def test_second():
    pass
"""


def test_an_interrupt_that_a_command_answers_ends_the_run_and_fails_no_test(tmp_path: Path) -> None:
    file = tmp_path / "test_swallowed.py"
    file.write_text(SWALLOWED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest"]
    ended = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", "/dev/null", str(file)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended.stdout
    assert "KeyboardInterrupt" in ended.stdout
    assert "failed" not in ended.stdout
    assert "passed" not in ended.stdout
