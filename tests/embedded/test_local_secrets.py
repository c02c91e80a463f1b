"""Secrets that are made once and kept."""

import threading
from pathlib import Path

import pytest

from adapters.local_secrets import load_or_create_secret


def test_a_secret_is_made_once_long_private_and_of_its_name(tmp_path: Path) -> None:
    first = load_or_create_secret(tmp_path, "jwt-secret")
    assert load_or_create_secret(tmp_path, "jwt-secret") == first
    assert load_or_create_secret(tmp_path, "secret-key") != first
    assert len(first) >= 64
    assert len(set(first)) > 8
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jwt-secret", "secret-key"]


def test_all_who_ask_at_the_same_time_get_one_answer(tmp_path: Path) -> None:
    answers: list[str] = []
    gate = threading.Barrier(16)

    def ask() -> None:
        gate.wait()
        answers.append(load_or_create_secret(tmp_path, "jwt-secret"))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert len(set(answers)) == 1


def test_a_secret_cut_short_is_refused_and_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "jwt-secret").write_text("short\n")
    with pytest.raises(ValueError, match="jwt-secret"):
        load_or_create_secret(tmp_path, "jwt-secret")
    assert (tmp_path / "jwt-secret").read_text() == "short\n"
