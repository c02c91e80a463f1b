"""Random worlds and programs of units: rows are laid as they are drawn."""

import pytest


@pytest.fixture(scope="session")
def lays_rows() -> bool:
    return True
