"""Names of tasks: made from the prompt, unique, good as a branch name and in a shell."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from rc_protos import errors

LONGEST = 40
WORDS = 5
NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
# Words that say nothing about what is to be done.
_FILLERS = frozenset(
    """a an and are be for in is it my of on or our please so that the this to with your""".split()  # noqa: SIM905
)


def check(name: str) -> str:
    """The name, if a person may use it; raises usage."""
    if len(name) > 64 or not NAME.fullmatch(name) or ".." in name or name.endswith(".lock"):
        hint = "use up to 64 lower-case letters, digits, dots, dashes and underscores, such as: fix-login"
        raise errors.usage(f"{name!r} cannot be the name of a task", hint)
    return name


def slug(prompt: str) -> str:
    """A short name for what the prompt asks."""
    plain = unicodedata.normalize("NFKD", prompt).encode("ascii", "ignore").decode().lower()
    words = [word for word in re.findall(r"[a-z0-9]+", plain.replace("'", "")) if word not in _FILLERS]
    name = ""
    for word in words[:WORDS]:
        longer = f"{name}-{word}" if name else word[:LONGEST]
        if len(longer) > LONGEST:
            break
        name = longer
    return name or "task"


def unique(wanted: str, taken: Collection[str]) -> str:
    """The name itself, or with the first free number."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"
