"""Prints how many tests failed in the last run; very many where nothing is known of it."""

from __future__ import annotations

import json
from pathlib import Path

UNKNOWN = 10_000


def main() -> None:
    """Read what pytest keeps of its last run."""
    try:
        print(
            len(json.loads((Path(__file__).parent.parent / ".pytest_cache/v/cache/lastfailed").read_text())) or UNKNOWN
        )
    except (OSError, ValueError):
        print(UNKNOWN)


if __name__ == "__main__":
    main()
