"""What a run was taken on, and whether its load generator was able to tell."""

import itertools
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import attrs
import psutil
import psycopg
from redis import Redis

from tests.benchmarks.client import measure, request
from tests.benchmarks.rows import Row, compared
from tests.benchmarks.servers import Served

LIBRARIES = ("litestar", "uvicorn", "uvloop", "psycopg", "redis", "msgspec", "attrs")
R0 = request("GET", "/r0")


def described(postgres_url: str, redis_url: str) -> dict[str, str]:
    """Return the machine, the versions and the time of an fsync."""
    with psycopg.connect(postgres_url) as connection:
        (server,) = connection.execute("select split_part(version(), ' on ', 1)").fetchone() or ("",)
    with Redis.from_url(redis_url) as client:
        redis = client.info("server")["redis_version"]
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "fdatasync of 8 kB": f"{fsync_seconds() * 1e6:.0f} µs",
        "versions": f"Python {platform.python_version()}, {server}, Redis {redis}, "
        + ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
    }


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def fsync_seconds() -> float:
    """Return the median time that the disk of temporary files takes to make 8 kB durable."""
    sync = getattr(os, "fdatasync", os.fsync)
    took = []
    with tempfile.TemporaryFile() as file:
        for _ in range(200):
            os.pwrite(file.fileno(), b"x" * 8192, 0)
            begun = time.perf_counter()
            sync(file.fileno())
            took.append(time.perf_counter() - begun)
    return median(took)


def round_trip(url: str) -> float:
    """Return the median milliseconds of `select 1` on a PostgreSQL."""
    took = []
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(100):
            begun = time.perf_counter()
            connection.execute("select 1", prepare=True)
            took.append(time.perf_counter() - begun)
    return median(took) * 1000


def generator_rows(bare: Served, rounds: int, seconds: float) -> Iterator[Row]:
    """R0 by one load process and by two: when two get no more out of it, one is not the bottleneck."""
    loads = {processes: [] for processes in (1, 2)}  # type: ignore[var-annotated]
    for _, processes in itertools.product(range(rounds), loads):
        one = itertools.repeat(R0)
        loads[processes].append(measure(bare.address, one, 32, seconds, processes=processes))
    for processes, found in loads.items():
        row = compared("load generator on R0", found, loads[1] if processes == 2 else (), "one process")
        busy = median(load.busy for load in found)
        remark = f"{processes} process{'es' * (processes > 1)}, each busy {busy:.0%} of a core"
        yield attrs.evolve(row, clients=32, remark=remark)
