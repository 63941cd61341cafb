"""Which failpoint was hit by which test; as a program: the table in docs/chaos/failpoints.md, from what a run noted.

scripts/test --hits /tmp/hits tests/unit/rc_agent/test_killed.py tests/e2e/test_kill.py tests/e2e/test_task_life.py \\
    tests/e2e/test_move.py
scripts/in_env python tests/support/failpoints.py /tmp/hits > docs/chaos/failpoints.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rc_protos.failpoints import FAILPOINTS

HEAD = """# Where the daemon and the agent are killed

Every place at which a test kills with SIGKILL, and the tests that do it; each of them asserts that the place was hit.
Made by `tests/support/failpoints.py`; a test holds that no place is left out.

| place | it stands | hit in |
|---|---|---|
"""


def armed(place: str, log: Path | None) -> dict[str, str]:
    """The environment of a process that dies at a failpoint and notes it."""
    return {"RC_FAILPOINT": place, "RC_FAILPOINT_LOG": str(log)}


@pytest.fixture
def hit_log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where failpoints are noted; with --hits FILE they are kept there beside the test's name."""
    log = tmp_path / "hit"
    yield log
    kept = request.config.getoption("--hits")
    if kept and log.exists():
        with open(kept, "a") as file:
            file.writelines(f"{place} {request.node.originalname}\n" for place in log.read_text().split())


def table(hits: list[tuple[str, str]]) -> str:
    """The page; raises KeyError for a place that was not hit."""
    tests: dict[str, set[str]] = {}
    for place, test in hits:
        tests.setdefault(place, set()).add(test)
    missed = sorted(set(FAILPOINTS) - set(tests))
    if missed:
        raise KeyError(f"never hit: {', '.join(missed)}")
    rows = (f"| `{place}` | {where} | {', '.join(sorted(tests[place]))} |\n" for place, where in FAILPOINTS.items())
    return HEAD + "".join(rows)


if __name__ == "__main__":
    lines = [line.split() for line in Path(sys.argv[1]).read_text().splitlines()]
    sys.stdout.write(table([(place, test) for place, test in lines]))
