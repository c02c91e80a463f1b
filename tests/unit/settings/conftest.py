"""A complete environment, and secrets that must never be seen."""

import pytest

SECRET = "canary-secret-of-more-than-thirty-two-bytes"
OTHER = "canary-other-secret-also-more-than-32-bytes"


@pytest.fixture
def environment() -> dict[str, str]:
    """The least a deployment with its own PostgreSQL must set."""
    return {
        "DATABASE_URL": "postgresql://engine:canary-password@db:5432/defarm",
        "JWT_SECRET": SECRET,
        "DEFARM_SECRET_KEY": OTHER,
    }
