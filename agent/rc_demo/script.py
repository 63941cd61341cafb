r"""What the demo coding agent does: a list of steps, from the prompt, the repository's `.rc-demo.json`, or built in.

A prompt that begins with `demo:` is a list of steps, separated by `;` or newlines; quotes protect a `;`:

    say TEXT            stream a message                  think TEXT         stream a thought
    plan A | B | C      show a plan                       read FILE          read a file
    write FILE TEXT     write a file (\n is a newline)    append FILE TEXT   add to a file
    run COMMAND         run it with sh -c                 ask [TITLE]        ask a permission and do nothing with it
    askrun COMMAND      run it if that is permitted       commit MESSAGE     commit everything
    sleep SECONDS       do nothing; cancel interrupts     stubborn SECONDS   do nothing; cancel does not interrupt
    print KIB           stream that many KiB of text      usage IN OUT       report tokens
    stderr TEXT         write to stderr                   garbage TEXT       write a line that is not ACP to stdout
    unknown TEXT        send an update nobody knows       fail TEXT          end the turn with an error
    crash               end by SIGKILL                    exit CODE          end with this exit code

`.rc-demo.json` holds {"turns": [[STEP, ...], ...]}, each STEP in the same words.
The agent that runs them does not think, and says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SCRIPT_FILE = ".rc-demo.json"
VERBS = frozenset(
    "say think plan read write append run ask askrun commit sleep stubborn "  # noqa: SIM905 - one is read at a glance
    "print usage stderr garbage unknown fail crash exit".split()
)
INTRODUCTION = "I am the demo coding agent: a script that plays the same steps every time. I do not think."


class ScriptError(Exception):
    """A prompt or script file that cannot be read; the message is for the person."""


@dataclass(frozen=True)
class Step:
    """One thing to do: a verb and the rest of its line."""

    verb: str
    rest: str = ""

    def word_and_text(self) -> tuple[str, str]:
        """The first word (may be quoted), and what follows with backslash-n and backslash-t replaced as in C."""
        word, text = _first_word(self.rest)
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        return word, text.replace("\\n", "\n").replace("\\t", "\t")


def steps_for(prompt: str, turn: int, directory: Path) -> list[Step]:
    """The steps of this turn (from 0) of a session in this directory; raises ScriptError."""
    stripped = prompt.strip()
    if stripped.lower().startswith("demo:"):
        return parse(stripped[5:])
    file = directory / SCRIPT_FILE
    if file.is_file():
        turns = _read(file)
        if turn < len(turns):
            return turns[turn]
    return _generic(prompt, turn)


def parse(text: str) -> list[Step]:
    """Steps from the mini-language; raises ScriptError naming the word it does not know."""
    return [_step(part) for part in _split(text) if part.strip()]


def _first_word(text: str) -> tuple[str, str]:
    if text[:1] in ("'", '"') and (end := text.find(text[0], 1)) > 0:
        return text[1:end], text[end + 1 :].lstrip(" ")
    word, _, rest = text.partition(" ")
    return word, rest.lstrip(" ")


def _step(text: str) -> Step:
    verb, _, rest = text.strip().partition(" ")
    if verb not in VERBS:
        raise ScriptError(f"the demo coding agent has no step {verb!r}; it knows: {', '.join(sorted(VERBS))}")
    return Step(verb, rest.strip())


def _split(text: str) -> list[str]:
    parts, quote, current = [], "", ""
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in ";\n":
            parts.append(current)
            current = ""
            continue
        current += char
    return [*parts, current]


def _read(file: Path) -> list[list[Step]]:
    try:
        document = json.loads(file.read_text())
        turns = [[str(step) for step in turn] for turn in document["turns"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScriptError(f"{SCRIPT_FILE} cannot be read: {error}") from None
    return [[_step(step) for step in turn] for turn in turns]


def _generic(prompt: str, turn: int) -> list[Step]:
    if turn:
        note = prompt.strip().replace("\\", "").replace("\n", " ")
        return [
            Step("say", "I note down what you said; a script cannot do more."),
            Step("append", f"RC_DEMO.md - {note}\\n"),
        ]
    first = prompt.strip().replace("\\", "").splitlines()[0][:200] if prompt.strip() else ""
    return [
        Step("say", f"{INTRODUCTION} There is no {SCRIPT_FILE} here, so I only show what a turn looks like."),
        Step("plan", "Look around | Write RC_DEMO.md"),
        Step("run", "ls"),
        Step("write", f"RC_DEMO.md # Written by the demo coding agent\\n\\nThe prompt was: {first}\\n"),
        Step("usage", "100 20"),
        Step("say", "Done."),
    ]
