"""Rows that stand alone, for who reads them when. The soak, which is an engine's, holds its store itself."""

import pytest


@pytest.fixture(scope="session")
def lays_rows() -> bool:
    return True
