"""`rc-agent serve`: the one agent of a sandbox, over its socket and over every byte stream handed to it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from contextlib import suppress

from grpclib.config import Configuration
from grpclib.protocol import H2Protocol
from grpclib.server import Server
from h2.settings import SettingCodes

from rc_agent import home
from rc_agent.connect import ANOTHER_SERVES, SERVING
from rc_agent.errors import Border
from rc_agent.files.service import FileService
from rc_agent.forwards.service import ForwardService
from rc_agent.handover import HandOver
from rc_agent.health import Fence, HealthService
from rc_agent.sessions.service import SessionService
from rc_agent.sessions.store import Sessions
from rc_agent.stats import Sampler
from rc_protos.background import Background

# What one call may have on its way to us: a slow disk must not fill the memory. The connection has no bound of its own,
# or input for a process that does not read would take the heartbeat's room.
_WINDOW = 1 << 20
_CONNECTION_WINDOW = (1 << 31) - 1
# More than HTTP/2's usual 100: every attachment is one.
_MOST_CALLS = 10_000
_MAX_FRAME = 1 << 17


class _Protocol(H2Protocol):
    """A connection that takes many calls, and a message in one frame."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        settings: dict[SettingCodes | int, int] = {
            SettingCodes.MAX_CONCURRENT_STREAMS: _MOST_CALLS,
            SettingCodes.MAX_FRAME_SIZE: _MAX_FRAME,
        }
        self.connection._connection.update_settings(settings)
        # h2 would hold a caller to the old size who answers our settings and sends a long frame in one piece.
        self.connection._connection.max_inbound_frame_size = _MAX_FRAME
        self.connection.flush()


class _Server(Server):
    def _protocol_factory(self) -> H2Protocol:
        made = super()._protocol_factory()
        return _Protocol(made.handler, made.config, made.h2_config)


class Agent:
    """Everything of a running agent."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.stopped = asyncio.Event()
        self._background = Background("agent")
        sessions = Sessions(f"{directory}/{home.SESSIONS}")
        sessions.forget_unstarted()
        for session_id in sessions.ids():
            # Whoever died while no agent was there is buried now.
            sessions.exit(session_id)
        fence = Fence(f"{directory}/{home.EPOCH_FILE}")
        service = SessionService(sessions, self._background)
        sampler = Sampler(directory)
        self._background.spawn(sampler.run(), "stats")
        health = HealthService(fence, sessions, service, sampler, self.stopped.set)
        forwards = ForwardService(self._background, directory)
        services = [Border(one, fence.check) for one in (service, FileService(), forwards, health)]
        config = Configuration(http2_connection_window_size=_CONNECTION_WINDOW, http2_stream_window_size=_WINDOW)
        self._server = _Server(services, config=config)
        self._transports: set[asyncio.BaseTransport] = set()

    async def run(self) -> None:
        """Serve until told to stop; sessions go on without us."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopped.set)
        await self._server.start(sock=_listen(self.directory, home.GRPC_SOCKET))
        hands = HandOver(_listen(self.directory, home.HAND_SOCKET), self._take, self.stopped.set)
        _say(SERVING)
        await self.stopped.wait()
        hands.close()
        self._server.close()
        for transport in self._transports:
            transport.close()
        await self._background.close()

    def _take(self, stream: socket.socket) -> None:
        """Speak HTTP/2 on a byte stream somebody has brought."""
        self._background.spawn(self._speak(stream), "take a stream")

    async def _speak(self, stream: socket.socket) -> None:
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            # The server's own way to make a connection's protocol; it offers no public one for a socket that exists.
            self._server._protocol_factory,
            stream,
        )
        self._transports = {known for known in self._transports if not known.is_closing()} | {transport}


def serve(directory: str) -> int:
    """Run the agent of this state directory, or end at once if there is one already."""
    _keep_only(os.environ.get("RC_READY_FD", ""))
    lock = os.open(f"{directory}/{home.LOCK_FILE}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say(ANOTHER_SERVES)
        return 0
    with suppress(PermissionError):
        # Already a session leader when started by `connect`.
        os.setsid()
    os.umask(0o077)
    # Marks every process of this sandbox, however we were started.
    os.environ["RC_STATE"] = directory
    # grpclib writes on after a cut, which is harmless; asyncio would warn of it dozens of times.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    asyncio.run(_run(directory))
    return 0


async def _run(directory: str) -> None:
    await Agent(directory).run()


def _listen(directory: str, name: str) -> socket.socket:
    """Listen in the state directory; whoever listened there before is dead, for we hold the lock."""
    path = home.socket_address(directory, name)
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    listener.setblocking(False)
    return listener


def _keep_only(ready: str) -> None:
    """Close what a transport has left open in its children: an end of a stream, and nobody would see that one end."""
    keep = int(ready) if ready.isdigit() else 2
    most = max(keep + 1, min(os.sysconf("SC_OPEN_MAX"), 4096))
    os.closerange(3, keep)
    os.closerange(keep + 1, most)


def _say(word: bytes) -> None:
    """Tell the `connect` that started us."""
    given = os.environ.pop("RC_READY_FD", "")
    if given.isdigit():
        with suppress(OSError):
            os.write(int(given), word)
            os.close(int(given))
