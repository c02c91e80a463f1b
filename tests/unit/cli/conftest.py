import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from application.settings import REGISTRY
from entrypoints.cli.main import run


@attrs.frozen
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str


Defarm = Callable[..., Ended]


@pytest.fixture
def defarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Defarm:
    """Run a command in an empty directory, with no variable of the engine but those given."""
    for name in (setting.name for setting in REGISTRY):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*words: str, **variables: str) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            for name, text in variables.items():
                patch.setitem(os.environ, name, text)
            code = run(words)
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return call
