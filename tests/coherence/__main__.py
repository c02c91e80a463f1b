"""Is any read ever stale, any write ever lost? `python -m tests.coherence [--minutes N] [--instances N] [--seed N]`.

Starts a PostgreSQL, a Redis and serving processes, hurts them in rounds of half a minute, and checks every answer of
every round. Ends with 1 when a promise was broken.

With `--control` the cache is kept in the usual way, a key deleted after its commit, and nothing is hurt: the check
finds that out within seconds, and the command ends with 1.
"""

import argparse
import asyncio
import sys

from tests.coherence.soak import FAULTS, Verdict, soaking
from tests.servers import postgres_server, redis_server

ROUND = 30.0
PER_ROUND = 4


async def run(minutes: float, instances: int, seed: int, *, control: bool) -> Verdict:
    """Soak for a time and return what was found."""
    with postgres_server(private=True) as postgres, redis_server(private=True) as redis:
        async with soaking(postgres, redis, instances, seed=seed, control=control) as soak:
            if control:
                return await soak.caught(minutes * 60)
            while soak.verdict.seconds < minutes * 60:
                faults = soak.chance.sample(FAULTS, PER_ROUND)
                await soak.round(min(ROUND, max(10.0, minutes * 60)), faults)
                print(soak.verdict, flush=True)
            return soak.verdict


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.coherence")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--instances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--control", action="store_true")
    options = parser.parse_args()
    verdict = asyncio.run(run(options.minutes, options.instances, options.seed, control=options.control))
    print(verdict)
    return 1 if verdict.violations or verdict.errors else 0


if __name__ == "__main__":
    sys.exit(main())
