"""Command line of the demo coding agent: ACP on stdin and stdout, or its own terminal face."""

from __future__ import annotations

import sys

USAGE = """usage: python3 -m rc_demo [--resume SESSION] [--terminal]

Without options: speaks the Agent Client Protocol on stdin and stdout.
--terminal       its own terminal face; --resume takes up a session it began before.
What prompts can say is in rc_demo/script.py."""


def main(argv: list[str] | None = None) -> int:
    """Run the face that was asked for; the exit code."""
    args = sys.argv[1:] if argv is None else argv
    if "--help" in args or "-h" in args:
        sys.stdout.write(USAGE + "\n")
        return 0
    resume = ""
    if "--resume" in args:
        at = args.index("--resume")
        if at + 1 >= len(args):
            sys.stderr.write("rc-demo: --resume needs a session\n")
            return 2
        resume = args[at + 1]
        del args[at : at + 2]
    unknown = [arg for arg in args if arg != "--terminal"]
    if unknown:
        sys.stderr.write(f"rc-demo: unknown option {unknown[0]}\n{USAGE}\n")
        return 2
    if resume or args:
        from rc_demo.terminal import Terminal

        return Terminal(sys.stdin, sys.stdout).run(resume)
    from rc_demo.agent import Agent

    return Agent(sys.stdin.buffer, sys.stdout.buffer).run()
