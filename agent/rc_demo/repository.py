"""The repository that `rc demo` works on: a small program with one failing test, and the script that repairs it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

PROMPT = "Make the tests pass"

_BROKEN = '''"""Prices in cents."""


def total(prices, discount_percent=0):
    """What a basket costs after the discount."""
    return sum(prices) - discount_percent
'''

_REPAIRED = '''"""Prices in cents."""


def total(prices, discount_percent=0):
    """What a basket costs after the discount, rounded to whole cents."""
    full = sum(prices)
    return full - round(full * discount_percent / 100)
'''

_TEST = '''"""Run with: python3 -m unittest"""

import unittest

from basket import total


class TotalTest(unittest.TestCase):
    def test_sum(self):
        self.assertEqual(total([250, 1000]), 1250)

    def test_discount(self):
        self.assertEqual(total([250, 1000], discount_percent=10), 1125)


if __name__ == "__main__":
    unittest.main()
'''

_README = """# basket

The demo repository of Remote Claude: one function, two tests, and one of the tests fails.

    python3 -m unittest
"""

_SCRIPT = {
    "turns": [
        [
            "say I am the demo coding agent: a script that plays the same steps every time. I do not think.",
            "plan Run the tests | Read the code | Repair it | Run the tests again | Commit",
            "run python3 -m unittest 2>&1",
            "read basket.py",
            "think The script says: the discount is taken as cents, not as a percentage.",
            "write basket.py " + _REPAIRED.replace("\n", "\\n"),
            "run python3 -m unittest 2>&1",
            "askrun git commit -q -a -m 'Take the discount as a percentage'",
            "usage 1200 340",
            "say The tests pass.",
        ]
    ]
}

FILES = {
    "README.md": _README,
    "basket.py": _BROKEN,
    "test_basket.py": _TEST,
    ".gitignore": "__pycache__/\n",
    ".rc-demo.json": json.dumps(_SCRIPT, indent=2) + "\n",
}


def make_demo_repository(path: Path) -> None:
    """Make the repository in a new directory, with one commit that is always the same; raises OSError."""
    path.mkdir(parents=True)
    for name, text in FILES.items():
        (path / name).write_text(text)
    _git(path, "init", "-q", "-b", "main")
    _git(path, "add", "-A")
    _git(path, "commit", "-q", "-m", "A basket with a bug")


def _git(path: Path, *args: str) -> None:
    moment = "2026-01-01T00:00:00Z"
    who = {"NAME": "Remote Claude demo", "EMAIL": "demo@localhost", "DATE": moment}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    # The person's own hooks, templates and signing have no say in a demo.
    plain = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TEMPLATE_DIR": ""}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    result = subprocess.run(
        ["git", *args], cwd=path, env=environment | plain | identity, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise OSError(f"git {args[0]} failed in {path}: {result.stderr.strip()}")
