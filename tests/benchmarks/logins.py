"""What a reader feels while many sign in: hashing has threads of its own (platform.md 1.3, performance.md 3)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any

from tests.benchmarks.client import Load, measure, request
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import Served, engine

LOGINS = 50
SECONDS = 3.0
ROUNDS = 3
PASSWORD = "benchmark pass phrase"


def login_rows(url: str) -> Iterator[Row]:
    """Yield one row: p99 of one reader while 50 clients sign in without a pause, against the same reader alone."""
    with engine(DATABASE_URL=url) as served:
        token, *_ = [_registered(served, f"user-{number}") for number in range(LOGINS)]
        item: dict[str, Any] = {"identifiers": [{"key": "lote", "value": "signing"}]}
        dfid = served.call("POST", "/api/items", item, token)["dfid"]
        read = request("GET", f"/api/items/{dfid}", token)
        rounds = sorted((_round(served, read) for _ in range(ROUNDS)), key=lambda loads: loads[1].p99)
    alone, disturbed, logins = rounds[ROUNDS // 2]
    remark = f"at {logins.per_second:.0f} logins/s" + (f", {logins.failed} FAILED" if logins.failed else "")
    yield Row(
        f"reader p99 during {LOGINS} logins",
        disturbed.p99,
        " ms",
        baseline="alone",
        theirs=alone.p99,
        remark=remark,
        clients=1,
    )


def _registered(served: Served, name: str) -> str:
    account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
    return str(served.call("POST", "/api/auth/register", account)["access_token"])


def _logins() -> Iterator[bytes]:
    names = (f"user-{number}" for number in range(LOGINS))
    return cycle([request("POST", "/api/auth/login", body={"username": name, "password": PASSWORD}) for name in names])


def _round(served: Served, read: bytes) -> tuple[Load, Load, Load]:
    alone = measure(served.address, cycle([read]), 1, SECONDS)
    with ThreadPoolExecutor(1) as beside:
        logins = beside.submit(measure, served.address, _logins(), LOGINS, SECONDS)
        disturbed = measure(served.address, cycle([read]), 1, SECONDS)
        return alone, disturbed, logins.result()
