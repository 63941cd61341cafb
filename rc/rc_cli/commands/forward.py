"""`rc forward`: ports of a task's sandbox on this machine, for as long as the command runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.text import clean
from rc_client.forward import Forward
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError, usage

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

HOST = "127.0.0.1"


def forward(task: str, ports: Sequence[str], *, automatic: bool) -> int:
    """Until interrupted; `automatic`: also whatever begins to listen in the sandbox."""
    wanted = [_parse(port) for port in ports]
    if not wanted and not automatic:
        raise usage("there is no port", f"such as: rc forward {task} 8080:80, or --auto")
    return with_client(lambda client: _forward(client, task, wanted, automatic))


async def _forward(client: DaemonClient, task: str, wanted: list[tuple[int, str]], automatic: bool) -> int:
    name = (await client.get_task(task)).name
    open_: dict[str, Forward] = {}
    try:
        for local, endpoint in wanted:
            await _open(client, name, local, endpoint, open_)
        async with Background("rc forward") as background:
            if automatic:
                background.spawn(_automatic(client, name, open_), "ports")
            await asyncio.Event().wait()
    finally:
        for each in open_.values():
            await each.close()
    return 0


async def _open(client: DaemonClient, name: str, local: int, endpoint: str, open_: dict[str, Forward]) -> None:
    made = Forward(client, name, endpoint)
    port = await made.listen(HOST, local)
    open_[endpoint] = made
    sys.stdout.write(f"{HOST}:{port} -> {endpoint.removeprefix('tcp:')}\n")
    sys.stdout.flush()


async def _automatic(client: DaemonClient, name: str, open_: dict[str, Forward]) -> None:
    """Forward what listens, under its own number where that is free here."""
    async for ports in client.watch_ports(name):
        present = {f"tcp:{HOST}:{port.port}": port for port in ports}
        for endpoint in present.keys() - open_.keys():
            try:
                await _open(client, name, present[endpoint].port, endpoint, open_)
            except RemoteClaudeError:
                await _open(client, name, 0, endpoint, open_)
            sys.stderr.write(f"— {clean(present[endpoint].command)} listens on {present[endpoint].port}\n")


def _parse(text: str) -> tuple[int, str]:
    """`LOCAL:REMOTE`, `BOTH`, or `LOCAL:HOST:REMOTE` as (local port, endpoint)."""
    local, _, remote = text.partition(":")
    remote = remote or local
    host, _, port = remote.rpartition(":")
    if not (local.isdigit() and port.isdigit() and int(local) < 65536 and 0 < int(port) < 65536):
        raise usage(f"{text!r} is no forward", "such as 8080, 8080:80 or 8080:localhost:80")
    return int(local), f"tcp:{host or HOST}:{port}"
