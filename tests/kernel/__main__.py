"""``python -m tests.kernel [--pairs N] [--seed S] [--cluster K] [--verbose]``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.kernel import netns
from tests.kernel.judge import IN_ONE_CLUSTER, judge


def main() -> int:
    """Exit status 0 if the kernel agrees, 1 if not, 2 if this machine cannot run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.kernel", description=__doc__)
    parser.add_argument("--pairs", type=int, default=300, help="how many (cluster, connection) pairs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cluster", type=int, help="only the cluster with this number")
    parser.add_argument("--verbose", action="store_true", help="print the trace of what differs")
    asked = parser.parse_args()
    if lack := netns.missing():
        print(f"the kernel harness cannot run here: it {lack}", file=sys.stderr)
        return 2
    begun = time.monotonic()
    report = judge(
        asked.seed, IN_ONE_CLUSTER if asked.cluster is not None else asked.pairs, asked.cluster, asked.verbose
    )
    print(report)
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main())
