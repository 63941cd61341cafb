"""`rc-agent serve | connect`: what runs inside a sandbox."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> None:
    """Run one of the agent's commands and exit with its status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["connect"]:
        from rc_agent.connect import connect

        sys.exit(connect(*words[1:3]))
    if words[:1] == ["serve"]:
        from rc_agent.home import NoHome, state_directory
        from rc_agent.server import serve

        try:
            sys.exit(serve(state_directory()))
        except NoHome as error:
            sys.exit(f"rc-agent: {error}")
    if words[:1] == ["holder"]:
        from rc_agent.holder.main import main as hold

        return hold()
    sys.exit("usage: rc-agent serve | connect [NONCE] | holder")


if __name__ == "__main__":
    main()
