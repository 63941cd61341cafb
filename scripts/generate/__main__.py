"""Writes what is generated: help texts, the CLI reference, the surface, the tables; --check compares instead."""

from __future__ import annotations

import sys
from pathlib import Path

import commands
import providers
import surface
import tables

ROOT = Path(__file__).resolve().parents[2]
HELP = "rc/rc_cli/help"


def main() -> int:
    """Exit code 1 when something that is committed is not what would be generated."""
    problems = surface.problems()
    if problems:
        print("docs/surface.md cannot hold:", *problems, sep="\n  ")
        return 1
    wanted = generated()
    stale = [path for path in sorted(wanted) if read(path) != wanted[path]]
    extra = [path for path in present_help() if path not in wanted]
    if "--check" in sys.argv[1:]:
        for path in stale + extra:
            print(f"{path} is not in step: run scripts/docs")
        return 1 if stale or extra else 0
    for path in extra:
        (ROOT / path).unlink()
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


def generated() -> dict[str, str]:
    """Every generated file's path below the checkout, and its text."""
    texts = {f"{HELP}/{name}.txt": text for name, text in commands.help_texts().items()}
    return texts | {
        "docs/surface.md": surface.page(),
        "docs/cli.md": commands.page(),
        "docs/errors.md": tables.errors(),
        "docs/config.md": tables.config(),
        "docs/providers.md": providers.page(),
    }


def read(path: str) -> str | None:
    """The committed text, if there is one."""
    file = ROOT / path
    return file.read_text(encoding="utf-8") if file.exists() else None


def present_help() -> list[str]:
    """The help texts there are."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / HELP).glob("*.txt"))


if __name__ == "__main__":
    sys.exit(main())
