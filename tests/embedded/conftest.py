"""Engines in processes of their own, as root and as an ordinary user."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.site import NOBODY, Site, closed_folder

USERS = [pytest.param(None, id="as the present user")]
if os.geteuid() == 0:
    USERS.append(pytest.param(NOBODY, id="as an ordinary user"))


@pytest.fixture(params=USERS)
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A site of root and one of an ordinary user; only the latter when the tests do not run as root."""
    with closed_folder(request.param) as folder:
        site = Site(folder / ".defarm", request.param)
        yield site
        site.clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of the present user that nobody else can pass."""
    with closed_folder(None) as folder:
        yield folder
