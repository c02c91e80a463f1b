"""Which process this is, and whether another one of this machine is gone."""

import subprocess
import sys

from adapters.processes import is_gone, this_process


def test_this_process_is_named_and_lives() -> None:
    assert this_process() == this_process() != ""
    assert not is_gone(this_process())


def test_a_process_that_was_killed_is_gone_before_and_after_its_parent_took_note() -> None:
    told = "from adapters.processes import this_process; print(this_process(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert not is_gone(name)
        child.kill()
        child.stdout.read()
        while not is_gone(name):
            pass
    assert is_gone(name)


def test_nobody_is_gone_who_ran_elsewhere_or_has_no_name() -> None:
    machine, pid, begun = this_process().split()
    assert not is_gone(f"elsewhere/{machine} {pid} {begun}")
    assert not is_gone("")
    assert is_gone(f"{machine} {pid} {int(begun) + 1}")
