"""What an agent tells of its sandbox's processes."""

from __future__ import annotations

import asyncio

from rc_agent.stats import KEPT
from rc_protos.v1 import health_pb2 as pb
from support.agent import Client


async def history(client: Client) -> list[pb.Stats]:
    [answer] = await client.health.WatchStats(pb.WatchStatsRequest())
    return list(answer.stats)


async def test_processes_memory_and_processors_are_counted(client: Client) -> None:
    await client.hello()
    before = (await history(client))[-1]
    await client.open("s", "sh", "-c", "while :; do :; done")
    async with asyncio.timeout(60):
        while (now := (await history(client))[-1]).cpu < 0.05:
            await asyncio.sleep(0.1)
    assert now.processes > before.processes
    assert now.memory_bytes > before.memory_bytes
    assert now.disk_bytes > now.disk_free_bytes > 0
    await client.close("s", grace=0)


async def test_the_history_is_short_and_in_order(client: Client) -> None:
    await client.hello()
    for _ in range(KEPT + 5):
        found = await history(client)
    assert len(found) == KEPT
    times = [each.time.ToNanoseconds() for each in found]
    assert times == sorted(set(times))


async def test_a_beat_carries_the_newest(client: Client) -> None:
    await client.hello()
    newest = (await history(client))[-1]
    async with client.health.Beat.open() as stream:
        await stream.send_message(pb.BeatRequest(number=1), end=True)
        answer = await stream.recv_message()
    assert answer is not None
    assert answer.stats == newest
