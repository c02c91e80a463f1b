"""The ports alone: rows are any that a facet allows."""

import pytest


@pytest.fixture(scope="session")
def lays_rows() -> bool:
    return True
