"""Links and clients cut at random bytes inside HTTP/2 frames, both ways, under load: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rc_client import AttachedSession, DaemonClient
from rc_client.channel import open_channel
from rc_client.session import Ended
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.model import ExitStatus
from support import known
from support.cutting import cuts, cutting_proxy, plug_in
from support.daemon import DaemonProcess, wait_for

DEADLINE = 60
PRINTED = 3 << 20
TYPED = 60_000


@dataclass
class Round:
    """One session between a link that is cut and clients that are cut."""

    number: int
    seed: int
    daemon: DaemonProcess
    sandbox_id: str
    cut: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Print and type at once; every byte is right, or an assertion says which is not."""
        dice = random.Random(self.seed)
        file = self.daemon.home / f"typed{self.number}"
        words = ["python3", "-c", known.SOURCE, self.seed, PRINTED, 2 * TYPED, file]
        session_id = ids.new_id()
        async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE):
            clients = [await stack.enter_async_context(self._client(dice)) for _ in range(2)]
            argv = [str(word).encode() for word in words]
            whole = await stack.enter_async_context(await DaemonClient.connect(start=False))
            # Opening is repeated by its caller: the same id is the same session.
            await whole.open_session(self.sandbox_id, session_id, argv=argv, kind="exec", pty=bool(self.number % 2))
            sessions = [AttachedSession(each, self.sandbox_id, session_id) for each in (*clients, whole)]
            for session in sessions:
                stack.push_async_callback(session.close)
            background = await stack.enter_async_context(Background("test"))
            started = asyncio.Event()
            viewers = [background.spawn(_digest(each, started), "view") for each in sessions]
            await started.wait()
            # Told apart by their bytes, however they mingle.
            texts = [bytes(dice.randrange(low, low + 128) for _ in range(TYPED)) for low in (0, 128)]
            typing = zip(sessions, texts, strict=False)
            writers = [background.spawn(_type(each, text, dice), "type") for each, text in typing]
            await asyncio.gather(*writers)
            seen = await asyncio.gather(*viewers)
        expected = hashlib.sha256(known.stream(self.seed, PRINTED)).hexdigest(), ExitStatus(known.EXIT)
        assert seen == [expected] * 3
        typed = file.read_bytes()
        assert [bytes(byte for byte in typed if byte >> 7 == high) for high in (0, 1)] == texts

    @asynccontextmanager
    async def _client(self, dice: random.Random) -> AsyncIterator[DaemonClient]:
        places = self.daemon.places
        socket = self.daemon.home / f"{ids.new_id()[-6:]}.sock"
        async with (
            cutting_proxy(socket, places.grpc_socket, dice, self.cut),
            DaemonClient(open_channel(str(socket)), places) as client,
        ):
            yield client


async def _digest(session: AttachedSession, started: asyncio.Event) -> tuple[str, ExitStatus | None]:
    digest, status = hashlib.sha256(), None
    async for item in session.output():
        if isinstance(item, Ended):
            status = item.status
        else:
            digest.update(item.data)
            started.set()
    return digest.hexdigest(), status


async def _type(session: AttachedSession, text: bytes, dice: random.Random) -> None:
    at = 0
    while at < len(text):
        size = dice.randrange(1, 1000)
        await session.write(text[at : at + size])
        at += size
        await asyncio.sleep(0.002)
    await session.flush(DEADLINE)


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_or_typed_twice_over_cuts(rounds: int, home: DaemonProcess, tmp_path: Path) -> None:
    seed = time.time_ns()
    home.environment = dict(plug_in(tmp_path, seed))
    home.start()
    async with await DaemonClient.connect(start=False) as client:
        task, _ = await client.create_task(home.spec(name="t", provider="cutting"))
        await wait_for(client, task.id, "done")
        sandbox_id = (await client.get_task("t")).sandbox_id
    of_clients: list[str] = []
    for number in range(rounds):
        began = time.monotonic()
        one = Round(number, seed + number, home, sandbox_id, of_clients)
        try:
            await one.run()
        except BaseException:
            print(f"round {number}, seed {one.seed}; the daemon's log ends:\n{home.log()[-3000:]}")
            raise
        print(f"round {number}: {time.monotonic() - began:.1f} s")
    of_links = cuts(tmp_path)
    assert len(of_links) >= rounds
    assert len(of_clients) >= rounds
    inside = [sum("inside" in cut for cut in each) for each in (of_links, of_clients)]
    print(
        f"seed {seed}, {rounds} rounds of {PRINTED >> 20} MiB printed and 2 x {TYPED} bytes typed; "
        f"{len(of_links)} cuts of the link, {inside[0]} of them inside a frame; "
        f"{len(of_clients)} cuts of clients, {inside[1]} inside a frame: nothing lost, nothing twice"
    )
