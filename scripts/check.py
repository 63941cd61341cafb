"""Runs every check, several at a time, and shows the output of those that fail."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 300

COMMANDS = {
    "types (mypy)": ["mypy"],
    "docs in step": [sys.executable, "scripts/generate", "--check"],
    "import rules (lint-imports)": ["lint-imports", "--no-cache"],
    "protos in step": [sys.executable, "scripts/check.py", "--protos"],
    "lint (ruff)": ["ruff", "check", "."],
    "format (ruff)": ["ruff", "format", "--check", "."],
    "protos (buf lint)": ["buf", "lint", "protos"],
    "schema contract (buf breaking)": ["buf", "breaking", "protos", "--against", "protos/released.binpb"],
}


@dataclass(frozen=True)
class Result:
    """One check's outcome."""

    name: str
    passed: bool
    output: str
    seconds: float


def main() -> int:
    """Exit code 1 if any check failed."""
    if sys.argv[1:] == ["--protos"]:
        return protos_in_step()
    with ThreadPoolExecutor(max_workers=4) as pool:
        results = list(pool.map(lambda name: run(name, COMMANDS[name]), COMMANDS))
    for result in results:
        print(f"{'ok    ' if result.passed else 'FAILED'} {result.name} ({result.seconds:.1f} s)")
        if not result.passed:
            print(result.output.rstrip())
    return 0 if all(result.passed for result in results) else 1


def run(name: str, command: list[str]) -> Result:
    """Run one check from the top of the checkout."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Result(name, False, f"still running after {DEADLINE} s", time.monotonic() - began)
    return Result(name, done.returncode == 0, done.stdout, time.monotonic() - began)


def protos_in_step() -> int:
    """Generate again elsewhere and compare: what is committed must be what the .proto files say today."""
    committed = ROOT / "protos/rc_protos/v1"
    with tempfile.TemporaryDirectory() as fresh:
        subprocess.run(["scripts/protos", fresh], cwd=ROOT, check=True)
        made = {path.name: path.read_bytes() for path in (Path(fresh) / "rc_protos/v1").iterdir()}
    there = {path.name: path.read_bytes() for path in committed.glob("*_pb2*") if path.is_file()}
    there |= {path.name: path.read_bytes() for path in committed.glob("*_grpc.py")}
    wrong = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
    if wrong:
        print(f"not what the .proto files say: {', '.join(wrong)}\nrun scripts/protos")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
