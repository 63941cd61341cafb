"""`rc ssh-config`, `rc ssh-proxy`: stock OpenSSH reaches a task's sandbox."""

from __future__ import annotations

import sys

from rc_cli.loop import with_client


def config(*, install: bool) -> int:
    """Print what ssh has to know, or let it know."""
    from rc_ssh import keys

    if not install:
        sys.stdout.write(keys.config())
        return 0
    theirs, changed = keys.install()
    sys.stderr.write(f"{theirs} {'includes rc now' if changed else 'includes rc already'}; next: ssh rc-ID\n")
    return 0


def proxy(task: str) -> int:
    """Until ssh hangs up."""
    from rc_ssh.proxy import serve

    return with_client(lambda client: serve(client, task))
