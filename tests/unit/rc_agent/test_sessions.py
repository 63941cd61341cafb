"""Sessions on pipes and terminals, each in a real holder under a real agent."""

from __future__ import annotations

import hashlib
import os
import signal
import sys

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from rc_protos.errors import CODE_KEY
from rc_protos.v1 import session_pb2 as pb
from support.agent import AgentProcess, Client, connected, running_agent, until

EVERY_BYTE = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)"


async def test_a_pipes_session_keeps_both_streams_apart(client: Client) -> None:
    session = await client.open("a", "sh", "-c", "echo to out; echo to err >&2; exit 3", kind="exec", name="n")
    assert (session.id, session.kind, session.name, session.pty) == ("a", "exec", "n", False)
    output = await client.output("a")
    assert (output.out, output.err) == (b"to out\n", b"to err\n")
    assert output.exit is not None
    assert (output.exit.code, output.exit.signal, output.exit.lost) == (3, 0, "")
    ended = await client.get("a")
    assert ended.ended
    assert (ended.out_first, ended.out_end, ended.err_end, ended.exit.code) == (0, 7, 7, 3)
    assert ended.ended_at.seconds >= ended.started_at.seconds > 0


async def test_every_byte_value_passes_both_ways(client: Client) -> None:
    data = bytes(range(256)) * 1000
    await client.open("a", "cat")
    assert await client.write("a", data, end=True) == len(data)
    assert (await client.output("a")).out == data


async def test_a_terminal_gives_every_byte_value(client: Client) -> None:
    await client.open("a", "sh", "-c", f"stty raw; exec {sys.executable} -c '{EVERY_BYTE}'", pty=True)
    assert (await client.output("a")).out == bytes(range(256)) * 4


async def test_a_terminal_is_a_controlling_terminal(client: Client, agent: AgentProcess) -> None:
    size = pb.TerminalSize(columns=91, rows=17)
    await client.open("a", "sh", "-c", "tty; stty size; echo $TERM; echo < /dev/tty ok", pty=True, size=size)
    lines = (await client.output("a")).out.decode().split("\r\n")
    assert lines[0].startswith("/dev/")
    assert lines[1:3] == ["17 91", "xterm-256color"]


async def test_output_is_read_on_from_any_offset(client: Client) -> None:
    await client.open("a", "sh", "-c", "printf 0123456789; printf abcdef >&2")
    whole = await client.output("a")
    for offset in range(11):
        part = await client.output("a", out_offset=offset, err_offset=6)
        assert part.out == whole.out[offset:]
        assert part.err == b""
    with pytest.raises(GRPCError) as raised:
        await client.output("a", out_offset=11)
    assert raised.value.status is Status.FAILED_PRECONDITION


async def test_no_follow_ends_at_the_present_end(client: Client) -> None:
    await client.open("a", "sh", "-c", "echo begun; exec sleep 100")

    async def printed() -> bool:
        return (await client.get("a")).out_end == 6

    await until(printed)
    output = await client.output("a", no_follow=True)
    assert output.out == b"begun\n"
    assert output.exit is None


async def test_opening_twice_gives_the_same_session(client: Client, agent: AgentProcess) -> None:
    first = await client.open("a", "sh", "-c", "echo x >> count; exec sleep 100")
    second = await client.open("a", "sh", "-c", "echo x >> count; exec sleep 100")
    assert second.pid == first.pid
    await until(lambda: (agent.workspace / "count").exists())
    assert (agent.workspace / "count").read_text() == "x\n"
    other = await client.sessions.ListSessions(pb.ListSessionsRequest())
    assert [session.id for session in other.sessions] == ["a"]


async def test_input_sent_twice_is_typed_once(client: Client) -> None:
    await client.open("a", "cat")
    assert await client.write("a", b"hello ") == 6
    assert await client.write("a", b"hello ") == 6
    assert await client.write("a", b"lo world", from_byte=3) == 11
    assert await client.write("a", b"!", writer="other") == 1
    assert await client.write("a", b"", from_byte=11, end=True) == 11
    assert (await client.output("a")).out == b"hello world!"


async def test_a_gap_in_the_input_is_refused(client: Client) -> None:
    await client.open("a", "cat")
    with pytest.raises(GRPCError) as raised:
        await client.write("a", b"late", from_byte=3)
    assert raised.value.status is Status.FAILED_PRECONDITION
    assert "byte 0" in str(raised.value.message)


async def test_an_empty_write_asks_for_the_watermark(client: Client) -> None:
    await client.open("a", "cat")
    await client.write("a", b"12345")
    assert await client.write("a", b"") == 5


async def test_input_beyond_the_buffer_waits_for_the_process(client: Client) -> None:
    data = b"x" * (5 << 20)
    code = "import sys, time; time.sleep(0.5); print(len(sys.stdin.buffer.read()))"
    await client.open("a", sys.executable, "-c", code)
    sent = 0
    async with client.sessions.WriteSession.open() as stream:
        while sent < len(data):
            chunk = data[sent : sent + 262144]
            await stream.send_message(pb.WriteSessionRequest(session_id="a", writer_id="w", from_byte=sent, data=chunk))
            sent += len(chunk)
        await stream.send_message(pb.WriteSessionRequest(from_byte=sent, end=True), end=True)
        marks = [answer.watermark async for answer in stream]
    assert marks == sorted(marks)
    assert marks[-1] == len(data)
    assert (await client.output("a")).out == b"%d\n" % len(data)


async def test_a_process_that_does_not_read_can_still_be_closed(client: Client) -> None:
    await client.open("a", "sleep", "100")
    with pytest.raises(GRPCError) as raised:
        async with client.sessions.WriteSession.open() as stream:
            for at in range(0, 1 << 20, 65536):
                request = pb.WriteSessionRequest(session_id="a", writer_id="w", from_byte=at, data=b"x" * 65536)
                await stream.send_message(request)
            assert (await client.close("a")).ended
            async for _ in stream:
                pass
    assert raised.value.status is Status.FAILED_PRECONDITION


async def test_writing_to_closed_ears_is_told(client: Client) -> None:
    await client.open("a", "sh", "-c", "exec <&-; sleep 100")

    async def refused() -> bool:
        try:
            await client.write("a", b"x" * 1000)
        except GRPCError as error:
            assert error.status is Status.FAILED_PRECONDITION
            return True
        return False

    await until(refused)


async def test_end_of_input_on_a_terminal(client: Client) -> None:
    await client.open("a", "cat", pty=True)
    await client.write("a", b"line\n", end=True)
    output = await client.output("a")
    assert output.out == b"line\r\nline\r\n"
    assert output.exit is not None
    assert output.exit.code == 0


async def test_a_session_can_begin_without_input(client: Client) -> None:
    await client.open("a", "cat", stdin_closed=True)
    assert (await client.output("a")).exit == pb.ExitStatus()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
async def test_a_signal_reaches_the_group_and_is_the_exit_status(client: Client, number: int) -> None:
    await client.open("a", "sh", "-c", "sleep 100; true")

    async def sleeping() -> bool:
        await client.sessions.SignalSession(pb.SignalSessionRequest(session_id="a", signal=number))
        return True

    await until(sleeping)
    output = await client.output("a")
    assert output.exit is not None
    assert (output.exit.code, output.exit.signal) == (128 + number, number)


async def test_a_signal_on_a_terminal_reaches_the_foreground_only(client: Client) -> None:
    await client.open("a", "bash", "--norc", "--noprofile", "-i", pty=True)
    await client.write("a", b"echo re'a'dy\n")

    async def ready() -> bool:
        return b"ready" in (await client.output("a", no_follow=True)).out

    await until(ready)
    await client.write("a", b"sleep 100; echo a'f'ter\n", writer="v")

    async def interrupted() -> bool:
        await client.sessions.SignalSession(pb.SignalSessionRequest(session_id="a", signal=signal.SIGTERM))
        out = (await client.output("a", no_follow=True)).out
        return b"after" in out

    await until(interrupted)
    assert not (await client.get("a")).ended


async def test_resizing_is_seen_marked_and_signalled(client: Client) -> None:
    script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done"
    await client.open("a", "bash", "-c", script, pty=True)

    async def ready() -> bool:
        return (await client.get("a")).out_end > 0

    await until(ready)
    for columns, times in ((100, 1), (100, 2), (120, 3)):
        size = pb.TerminalSize(columns=columns, rows=30)
        await client.sessions.ResizeSession(pb.ResizeSessionRequest(session_id="a", size=size))

        async def told(times: int = times) -> bool:
            return (await client.output("a", no_follow=True)).out.count(b"30 ") == times

        await until(told)
    output = await client.output("a", no_follow=True)
    assert output.out == b"ready\r\n30 100\r\n30 100\r\n30 120\r\n"
    assert [(mark.kind, mark.size.columns) for mark in output.marks] == [
        ("resize", 80),
        ("resize", 100),
        ("resize", 100),
        ("resize", 120),
    ]
    assert [mark.out_offset for mark in output.marks] == [0, 7, 15, 23]
    assert (await client.get("a")).size.columns == 120


async def test_a_session_gets_its_environment_and_no_other(client: Client, agent: AgentProcess) -> None:
    await client.open("a", "env", environment={"SECRET": b"s\xff"})
    lines = (await client.output("a")).out.split(b"\n")
    assert b"SECRET=s\xff" in lines
    assert b"RC_SESSION=a" in lines
    assert any(line.startswith(b"RC_BUNDLE=") for line in lines)
    assert not any(line.startswith((b"TERM=", b"RC_READY_FD")) for line in lines)


async def test_a_secret_is_nowhere_on_disk_nor_in_argv(client: Client, agent: AgentProcess) -> None:
    secret = b"kept-in-memory"
    await client.open("a", "sleep", "100", environment={"TOKEN": secret})
    kept = [path for path in agent.root.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert not kept
    holder = agent.holder("a")
    for name in ("cmdline", "environ"):
        with open(f"/proc/{holder}/{name}", "rb") as file:
            assert secret not in file.read()


async def test_a_command_that_does_not_exist_leaves_nothing(client: Client, agent: AgentProcess) -> None:
    for _ in range(2):
        with pytest.raises(GRPCError) as raised:
            await client.open("a", "no-such-command")
        assert raised.value.status is Status.NOT_FOUND
        assert "no-such-command" in str(raised.value.message)
    with pytest.raises(GRPCError) as raised:
        await client.open("a", "true", directory=b"no/such/folder")
    assert raised.value.status is Status.NOT_FOUND
    assert list((agent.state / "sessions").iterdir()) == []
    assert (await client.open("a", "true")).id == "a"


async def test_an_unknown_session_is_not_found_with_our_code(client: Client) -> None:
    async with client.sessions.GetSession.open() as stream:
        await stream.send_message(pb.GetSessionRequest(session_id="nobody"), end=True)
        with pytest.raises(GRPCError) as raised:
            await stream.recv_message()
            await stream.recv_trailing_metadata()
    assert raised.value.status is Status.NOT_FOUND
    assert stream.trailing_metadata is not None
    assert stream.trailing_metadata[CODE_KEY] == "not_found"


@pytest.mark.parametrize("session_id", ["", "../x", "a/b", "x" * 65, "a\0b"])
async def test_an_id_never_leads_elsewhere(client: Client, session_id: str) -> None:
    with pytest.raises(GRPCError) as raised:
        await client.open(session_id, "true")
    assert raised.value.status is Status.INVALID_ARGUMENT


async def test_after_the_end_nothing_can_be_done_to_a_session(client: Client) -> None:
    await client.open("a", "true")
    await client.output("a")
    calls = [
        client.write("a", b"x"),
        client.sessions.ResizeSession(
            pb.ResizeSessionRequest(session_id="a", size=pb.TerminalSize(columns=80, rows=24))
        ),
        client.sessions.SignalSession(pb.SignalSessionRequest(session_id="a", signal=15)),
    ]
    for call in calls:
        with pytest.raises(GRPCError) as raised:
            await call
        assert raised.value.status is Status.FAILED_PRECONDITION
    assert (await client.close("a")).ended


async def test_of_a_script_of_the_daemon_nothing_stays(client: Client, agent: AgentProcess) -> None:
    for kind in ("exec", "system"):
        await client.open(kind, "true", kind=kind)
        await client.output(kind)
        assert (await client.close(kind)).ended
    assert [path.name for path in (agent.state / "sessions").iterdir()] == ["exec"]


async def test_a_lost_holder_costs_no_other_sandbox_its_session(client: Client, agent: AgentProcess) -> None:
    with running_agent() as other:
        async with connected(other) as there:
            for each in (client, there):
                await each.open("same", "sleep", "600")
            os.kill(agent.holder("same"), signal.SIGKILL)

            async def ended() -> bool:
                return (await client.get("same")).ended

            await until(ended)
            assert (await client.get("same")).exit.lost
            assert not (await there.get("same")).ended


async def test_a_large_output_arrives_whole(client: Client) -> None:
    code = "import sys\nfor i in range(1024): sys.stdout.buffer.write(bytes([i % 256]) * 65536)"
    await client.open("a", sys.executable, "-c", code)
    digest, size = hashlib.sha256(), 0
    async for item in client.attach("a"):
        digest.update(item.data.data)
        size += len(item.data.data)
    expected = hashlib.sha256(b"".join(bytes([i % 256]) * 65536 for i in range(1024)))
    assert size == 64 << 20
    assert digest.digest() == expected.digest()


async def test_a_reader_that_does_not_read_slows_nobody(client: Client) -> None:
    await client.open("a", "sh", "-c", "head -c 33554432 /dev/zero")
    async with client.sessions.AttachSession.open() as lazy:
        await lazy.send_message(pb.AttachSessionRequest(session_id="a"), end=True)
        await lazy.recv_message()

        async def ended() -> bool:
            return (await client.get("a")).ended

        await until(ended, 60)
        await lazy.cancel()
    assert (await client.get("a")).out_end == 32 << 20
