"""scripts/bench [--rounds N] [part ...]: measures and prints the table of docs/performance.md."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path

from timing import machine, table

# What the tests use is used here too.
sys.path.append(str(Path(__file__).resolve().parent.parent))

PARTS = ("start", "store", "run", "terminal", "idle", "recovery", "ssh")


def main() -> int:
    """Measure the parts asked for; all of them if none is."""
    arguments = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    arguments.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="part", help=", ".join(PARTS))
    arguments.add_argument("--rounds", type=int, default=20, help="interleaved rounds; more is steadier (default 20)")
    given = arguments.parse_args()
    rows = []
    for part in given.parts or PARTS:
        began = time.monotonic()
        print(f"bench: {part} ...", end="", file=sys.stderr, flush=True)
        rows += importlib.import_module(f"bench_{part}").rows(given.rounds)
        print(f" {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(f"{machine()}; medians of {given.rounds} interleaved rounds\n\n{table(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
