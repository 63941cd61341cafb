"""Ports of a sandbox on this machine, over kills of the daemon."""

from __future__ import annotations

import asyncio
import sys

import pytest

from rc_client import DaemonClient
from rc_client.forward import Forward
from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from support.daemon import DaemonProcess, wait_for

SERVE = """
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
with Server(("127.0.0.1", 0), Echo) as server:
    print(server.server_address[1], flush=True)
    server.serve_forever()
"""
DEADLINE = 60


async def ask(port: int, line: bytes) -> bytes:
    """One exchange over a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(line)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def serve(client: DaemonClient, sandbox_id: str) -> int:
    """Start something that listens in the sandbox; its port."""
    from rc_client import AttachedSession
    from rc_client.session import Output

    session_id = ids.new_id()
    argv = [b"python3", b"-c", SERVE.encode()]
    await client.open_session(sandbox_id, session_id, argv=argv, kind="exec", stdin_closed=True)
    session = AttachedSession(client, sandbox_id, session_id)
    async for item in session.output():
        if isinstance(item, Output):
            await session.close()
            return int(item.data)
    raise AssertionError("it did not start")


@pytest.mark.needs("bwrap", "git")
async def test_a_forward_heals(daemon: DaemonProcess) -> None:
    async with await DaemonClient.connect(start=False) as client, asyncio.timeout(DEADLINE):
        await client.create_task(daemon.spec(name="t", isolation=""))
        task = await wait_for(client, "t", "done")
        there = await serve(client, task.sandbox_id)
        forward = Forward(client, "t", f"tcp:127.0.0.1:{there}")
        here = await forward.listen("127.0.0.1", 0)
        try:
            assert await ask(here, b"one\n") == b"ONE\n"
            assert [each.port async for ports in once(client) for each in ports] == [there]
            with pytest.raises(RemoteClaudeError) as caught:
                await Forward(client, "t", "tcp:127.0.0.1:1").listen("127.0.0.1", here)
            assert caught.value.code is ErrorCode.PRECONDITION
            await asyncio.to_thread(daemon.kill)
            waiting = asyncio.ensure_future(ask(here, b"two\n"))
            await asyncio.to_thread(daemon.start)
            assert await waiting == b"TWO\n"
            assert await asyncio.gather(*[ask(here, b"%d a\n" % n) for n in range(20)]) == [
                b"%d A\n" % n for n in range(20)
            ]
        finally:
            await forward.close()


async def once(client: DaemonClient):  # type: ignore[no-untyped-def]
    """The ports as they are now."""
    async for ports in client.watch_ports("t"):
        yield ports
        return


async def test_the_command(daemon: DaemonProcess) -> None:
    async with await DaemonClient.connect(start=False) as client, asyncio.timeout(DEADLINE):
        await client.create_task(daemon.spec(name="t"))
        task = await wait_for(client, "t", "done")
        there = await serve(client, task.sandbox_id)
        command = [sys.executable, "-m", "rc_cli.main", "forward", "t", f"0:{there}"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        try:
            assert process.stdout is not None
            words = (await process.stdout.readline()).decode().split()
            assert words[1:] == ["->", f"127.0.0.1:{there}"]
            assert await ask(int(words[0].rpartition(":")[2]), b"three\n") == b"THREE\n"
        finally:
            process.terminate()
            await process.wait()
