"""schemathesis for long: `python -m tests.contract [--examples N] [--derived N] [--seed N] [--only TEXT]`.

Ends with 1 when an answer differs from the document, and names each difference once.
"""

import argparse
import logging
import secrets
import sys

import structlog

from tests.contract.fuzz import fuzzing


def main() -> int:
    """Ask every operation and tell what differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract")
    parser.add_argument("--examples", type=int, default=100, help="requests drawn per operation, valid and invalid")
    parser.add_argument("--derived", type=int, default=1000, help="most requests derived from bounds per operation")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default="", help="part of an operation id")
    options = parser.parse_args()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"seed {seed}", file=sys.stderr, flush=True)
    with fuzzing() as fuzz:
        for operation in fuzz.operations():
            if options.only in operation.definition.raw["operationId"]:
                fuzz.explore(operation, options.examples, seed)
                fuzz.cover(operation, options.derived)
    print(f"{sum(fuzz.asked.values())} requests, by status {dict(sorted(fuzz.asked.items()))}")
    for difference, times in fuzz.found.most_common():
        print(f"{times} × {difference}")
    return 1 if fuzz.found else 0


if __name__ == "__main__":
    sys.exit(main())
