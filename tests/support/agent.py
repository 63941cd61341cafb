"""A real `rc-agent serve` in a directory of its own, and short words for talking to it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from grpclib.client import Channel
from grpclib.config import Configuration

from rc_agent import tree
from rc_protos.v1 import health_pb2, session_pb2
from rc_protos.v1.file_grpc import FileServiceStub
from rc_protos.v1.forward_grpc import ForwardServiceStub
from rc_protos.v1.health_grpc import HealthServiceStub
from rc_protos.v1.session_grpc import SessionServiceStub

START = 20.0


class AgentProcess:
    """One agent over its whole life: started, killed, started again on the same directory."""

    def __init__(self, root: Path, prefix: tuple[str, ...] = ()) -> None:
        self.root = root
        self.state = root / "s"
        self.workspace = root / "w"
        self.workspace.mkdir(exist_ok=True)
        self._prefix = prefix
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the sandbox gives the agent."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "RC_STATE": str(self.state),
            "RC_WORKSPACE": str(self.workspace),
        }

    @property
    def socket(self) -> str:
        """Where it serves gRPC."""
        return str(self.state / "agent.sock")

    @property
    def pid(self) -> int:
        """The agent's process."""
        assert self._process is not None
        return self._process.pid

    def start(self, **environment: str) -> None:
        """Start it and wait until it serves."""
        self.state.mkdir(mode=0o700, exist_ok=True)
        read, write = os.pipe()
        log = os.open(self.root / "agent.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        argv = [*self._prefix, sys.executable, "-m", "rc_agent.main", "serve"]
        self._process = subprocess.Popen(
            argv,
            env=self.environment | {"RC_READY_FD": str(write)} | environment,
            pass_fds=[write],
            stderr=log,
            start_new_session=True,
        )
        os.close(write)
        os.close(log)
        with open(read, "rb") as ready:
            assert ready.read(1) == b"1", self.log()

    def log(self) -> str:
        """What it has said."""
        return (self.root / "agent.log").read_text()

    def kill(self) -> None:
        """kill -9, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> int:
        """Wait for its end."""
        assert self._process is not None
        status = self._process.wait(START)
        self._process = None
        return status

    def holder(self, session_id: str) -> int:
        """The pid of a session's holder."""
        import json

        record = json.loads((self.state / "sessions" / session_id / "holder.json").read_text())
        return int(record["holder"])

    def clean(self) -> None:
        """End the agent, every holder and every process of every session."""
        self.kill()
        sessions = self.state / "sessions"
        for directory in sessions.iterdir() if sessions.exists() else ():
            if (directory / "holder.json").exists():
                self._end_session(directory.name)

    def _end_session(self, session_id: str) -> None:
        holder = self.holder(session_id)
        socket = self.state / "sessions" / session_id / "sock"
        command = Path(f"/proc/{holder}/cmdline")
        if command.exists() and b"rc_agent.holder" in command.read_bytes() and socket.exists():
            tree.send(holder, signal.SIGKILL)
        # The same ids are used by tests that run beside this one.
        for pid in tree.tagged(b"RC_SESSION=" + session_id.encode(), b"RC_STATE=" + bytes(self.state)):
            tree.send(pid, signal.SIGKILL)


@contextmanager
def running_agent(prefix: tuple[str, ...] = ()) -> Iterator[AgentProcess]:
    """An agent in a short temporary directory; nothing of it is left afterwards."""
    root = Path(tempfile.mkdtemp(prefix="rca", dir="/tmp"))
    agent = AgentProcess(root, prefix)
    try:
        agent.start()
        yield agent
    finally:
        agent.clean()
        shutil.rmtree(root, ignore_errors=True)


class Client:
    """The services of an agent over one connection."""

    def __init__(self, channel: Channel) -> None:
        self.sessions = SessionServiceStub(channel)
        self.files = FileServiceStub(channel)
        self.health = HealthServiceStub(channel)
        self.forwards = ForwardServiceStub(channel)

    async def hello(self, epoch: int = 1) -> health_pb2.HelloResponse:
        """The first call of a link."""
        request = health_pb2.HelloRequest(protocol_min=1, protocol_max=1, daemon_id="test", epoch=epoch)
        answer: health_pb2.HelloResponse = await self.health.Hello(request)
        return answer

    async def open(self, session_id: str, *argv: str | bytes, **fields: object) -> session_pb2.Session:
        """Open a session."""
        words = [word.encode() if isinstance(word, str) else word for word in argv]
        request = session_pb2.OpenSessionRequest(session_id=session_id, argv=words, **fields)  # type: ignore[arg-type]
        session: session_pb2.Session = (await self.sessions.OpenSession(request)).session
        return session

    async def get(self, session_id: str) -> session_pb2.Session:
        """A session as it is now."""
        request = session_pb2.GetSessionRequest(session_id=session_id)
        session: session_pb2.Session = (await self.sessions.GetSession(request)).session
        return session

    async def close(self, session_id: str, grace: int = 1000) -> session_pb2.Session:
        """End a session."""
        request = session_pb2.CloseSessionRequest(session_id=session_id, grace_milliseconds=grace)
        session: session_pb2.Session = (await self.sessions.CloseSession(request)).session
        return session

    async def attach(self, session_id: str, **fields: object) -> AsyncIterator[session_pb2.AttachSessionResponse]:
        """Everything an attachment says."""
        request = session_pb2.AttachSessionRequest(session_id=session_id, **fields)  # type: ignore[arg-type]
        async with self.sessions.AttachSession.open() as stream:
            await stream.send_message(request, end=True)
            async for item in stream:
                yield item

    async def output(self, session_id: str, **fields: object) -> Output:
        """An attachment read to its end."""
        output = Output()
        async for item in self.attach(session_id, **fields):
            output.add(item)
        return output

    async def write(
        self, session_id: str, data: bytes, *, from_byte: int = 0, writer: str = "w", end: bool = False
    ) -> int:
        """One writer's call; gives the last watermark."""
        request = session_pb2.WriteSessionRequest(
            session_id=session_id, writer_id=writer, from_byte=from_byte, data=data, end=end
        )
        watermark = -1
        async with self.sessions.WriteSession.open() as stream:
            await stream.send_message(request, end=True)
            async for answer in stream:
                watermark = answer.watermark
        return watermark


class Output:
    """What came of an attachment, with every rule of it checked."""

    def __init__(self) -> None:
        self.session: session_pb2.Session | None = None
        self.out = b""
        self.err = b""
        self.exit: session_pb2.ExitStatus | None = None
        self.marks: list[session_pb2.SessionMark] = []
        self._next: dict[int, int] = {}

    def add(self, item: session_pb2.AttachSessionResponse) -> None:
        """Take one item."""
        assert self.exit is None, "the exit is the last message"
        if item.HasField("data"):
            data = item.data
            assert 0 < len(data.data) <= 65536
            assert self._next.get(data.stream, data.offset) == data.offset
            self._next[data.stream] = data.offset + len(data.data)
            if data.stream == session_pb2.STREAM_ERR:
                self.err += data.data
            else:
                self.out += data.data
        elif item.HasField("mark"):
            self.marks.append(item.mark)
        elif item.HasField("exit"):
            self.exit = item.exit
        else:
            self.session = item.session


@asynccontextmanager
async def connected(agent: AgentProcess) -> AsyncIterator[Client]:
    """A client on the agent's socket."""
    # As the daemon's: a reader that does not read takes no room from the other calls.
    windows = Configuration(http2_connection_window_size=(1 << 31) - 1, http2_stream_window_size=1 << 20)
    channel = Channel(path=agent.socket, config=windows)
    try:
        yield Client(channel)
    finally:
        channel.close()


async def until(condition: object, seconds: float = 20.0) -> None:
    """Wait until a condition (a function, perhaps a coroutine function) holds."""
    deadline = time.monotonic() + seconds
    assert callable(condition)
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def agent_pid(root: Path) -> int:
    """The one agent that serves below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            below = os.fsencode(root) in (process / "environ").read_bytes()
            if below and (process / "cmdline").read_bytes().endswith(b"\0serve\0"):
                found.append(int(process.name))
        except OSError:
            continue
    assert len(found) == 1, found
    return found[0]
