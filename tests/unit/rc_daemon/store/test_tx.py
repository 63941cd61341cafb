from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rc_daemon.store.rows import OutboxRow, Placement, SessionRow
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos import ids
from rc_protos.model import Request, RequestState, Sandbox, SandboxState, Task, TaskSpec, TaskState

NOW = datetime.now(UTC)


def task(name: str = "fix", state: TaskState = TaskState.QUEUED) -> Task:
    return Task(ids.new_id(), TaskSpec("prompt", name=name), state, NOW, NOW)


async def test_tasks_are_found_by_name_and_by_prefix(store: Store) -> None:
    one, two = task("one"), task("two")
    await store.transact(lambda tx: [tx.put_task(each) for each in (one, two)])

    found = await store.read(
        lambda tx: [[each.id for each in tx.find_tasks(text)] for text in ("one", two.id, two.id.upper(), one.id[:4])]
    )
    assert found == [[one.id], [two.id], [two.id], [one.id, two.id]]
    assert await store.read(lambda tx: tx.find_tasks("")) == []
    assert await store.read(lambda tx: tx.find_tasks("nobody")) == []
    assert await store.read(lambda tx: tx.get_task("nobody")) is None


async def test_a_removed_tasks_name_is_free_again(store: Store) -> None:
    old, new = task("fix", TaskState.REMOVED), task("fix")
    await store.transact(lambda tx: [tx.put_task(each) for each in (old, new)])
    assert await store.read(lambda tx: tx.find_tasks("fix")) == [new]
    assert await store.read(lambda tx: tx.list_tasks()) == [new]
    assert await store.read(lambda tx: tx.list_tasks(include_removed=True)) == [old, new]


async def test_last_seq_follows_the_log(store: Store) -> None:
    one = task()

    def create(tx: Tx) -> int:
        tx.append("task.created", one.id)
        tx.put_task(one)
        return tx.append("task.state", one.id, {"to": "queued"})

    seq = await store.transact(create)
    assert await store.read(lambda tx: tx.get_task(one.id)) == replace(one, last_seq=seq)
    later = await store.transact(lambda tx: tx.append("notice", one.id))
    assert await store.read(lambda tx: tx.get_task(one.id)) == replace(one, last_seq=later)
    # Written back by somebody who had read it before: it does not fall back.
    await store.transact(lambda tx: tx.put_task(replace(one, last_seq=later, reason="x")))
    assert store.tasks[one.id].last_seq == later


async def test_store_tasks_is_what_the_last_commit_left(store: Store, url: str) -> None:
    one, two = task("one"), task("two")
    await store.transact(lambda tx: [tx.put_task(each) for each in (one, two)])
    assert dict(store.tasks) == {one.id: one, two.id: two}
    kept = store.tasks[two.id]
    await store.transact(lambda tx: tx.append("notice", one.id))
    assert store.tasks[two.id] is kept
    await store.transact(lambda tx: tx.delete_task(one.id))
    assert dict(store.tasks) == {two.id: two}
    await store.close()
    again = await Store.open(url)
    assert dict(again.tasks) == {two.id: two}
    await again.close()


async def test_a_deleted_task_takes_its_rows_with_it(store: Store) -> None:
    one, other = task(), task("other")

    def fill(tx: Tx, of: Task) -> None:
        tx.put_task(of)
        tx.put_sandbox(Sandbox(f"b{of.id}", "local", task_id=of.id))
        tx.put_session_row(SessionRow(f"s{of.id}", of.id, f"b{of.id}"))
        tx.put_request(Request(f"r{of.id}", of.id, "permission", "t", NOW))
        tx.put_placement(Placement(of.id, f"b{of.id}", 1))
        tx.outbox_add(f"s{of.id}", "w", b"12345")

    await store.transact(lambda tx: [fill(tx, each) for each in (one, other)])
    await store.transact(lambda tx: tx.delete_task(one.id))

    def left(tx: Tx, task_id: str = "") -> tuple[int, ...]:
        found = (tx.list_sandboxes(task_id), tx.list_session_rows(task_id), tx.list_requests(task_id))
        return (*map(len, found), len(tx.placements(task_id)), len(tx.outbox_pending(f"s{task_id}")))

    assert await store.read(lambda tx: left(tx, one.id)) == (0, 0, 0, 0, 0)
    assert await store.read(lambda tx: left(tx, other.id)) == (1, 1, 1, 1, 1)
    assert await store.read(left) == (1, 1, 1, 0, 0)
    assert await store.transact(
        lambda tx: (tx.outbox_add(f"s{one.id}", "w", b""), tx.outbox_add(f"s{other.id}", "w", b""))
    ) == (0, 5)


async def test_sandboxes_sessions_requests_placements(store: Store) -> None:
    sandbox = Sandbox("b1", "local", task_id="t1", created_at=NOW)
    session = SessionRow("s1", "t1", "b1", kind="shell")
    asked = Request("r1", "t1", "permission", "may I?", NOW)
    answered = replace(asked, id="r2", state=RequestState.DENIED)

    def fill(tx: Tx) -> None:
        tx.put_sandbox(sandbox)
        tx.put_session_row(session)
        tx.put_request(asked)
        tx.put_request(answered)
        tx.put_placement(Placement("t1", "b1", 1))
        tx.put_placement(Placement("t1", "b2", 2))

    await store.transact(fill)
    await store.transact(lambda tx: tx.put_sandbox(replace(sandbox, state=SandboxState.GONE)))

    def look(tx: Tx) -> None:
        assert tx.get_sandbox("b1") == replace(sandbox, state=SandboxState.GONE)
        assert tx.get_sandbox("b2") is None
        assert tx.list_sandboxes("t1") == tx.list_sandboxes()
        assert tx.get_session_row("s1") == session
        assert tx.list_session_rows("t2") == []
        assert tx.get_request("r2") == answered
        assert tx.list_requests() == tx.list_requests("t1") == [asked]
        assert tx.list_requests("t1", pending_only=False) == [asked, answered]
        assert [each.epoch for each in tx.placements("t1")] == [1, 2]

    await store.read(look)


async def test_the_outbox_goes_on_numbering(store: Store) -> None:
    starts = await store.transact(lambda tx: [tx.outbox_add("s", "w", data) for data in (b"abc", b"", b"de")])
    assert starts == [0, 3, 3]
    assert await store.transact(lambda tx: tx.outbox_add("s", "other", b"x")) == 0
    await store.transact(lambda tx: tx.outbox_ack("s", "w", 4))
    pending = await store.read(lambda tx: tx.outbox_pending("s"))
    assert pending == [OutboxRow("s", "other", 0, b"x"), OutboxRow("s", "w", 3, b"de")]
    await store.transact(lambda tx: tx.outbox_ack("s", "w", 5))
    assert await store.transact(lambda tx: tx.outbox_add("s", "w", b"f")) == 5


async def test_documents(store: Store) -> None:
    await store.transact(lambda tx: tx.put_doc("c", "k", {"a": [1, {"b": None}], "t": NOW}))
    assert await store.read(lambda tx: tx.get_doc("c", "k")) == {"a": [1, {"b": None}], "t": NOW.isoformat()}
    await store.transact(lambda tx: tx.put_doc("c", "k", {}))
    assert await store.read(lambda tx: (tx.get_doc("c", "k"), tx.list_docs("c"))) == ({}, {"k": {}})
    await store.transact(lambda tx: [tx.delete_doc("c", each) for each in ("k", "nothing")])
    assert await store.read(lambda tx: tx.get_doc("c", "k")) is None


async def test_events_are_chosen(store: Store) -> None:
    def fill(tx: Tx) -> None:
        for number in range(6):
            tx.append("notice" if number % 2 else "usage", f"t{number % 3}", {"number": number})

    await store.transact(fill)

    def look(tx: Tx) -> None:
        assert [each.seq for each in tx.events()] == [1, 2, 3, 4, 5, 6]
        assert [each.seq for each in tx.events(after=2, task_id="t0")] == [4]
        assert [each.seq for each in tx.events(kinds=["usage"])] == [1, 3, 5]
        assert [each.seq for each in tx.events(limit=2)] == [1, 2]
        assert [each.seq for each in tx.events(limit=2, newest=True)] == [5, 6]
        assert tx.events(since=datetime.now(UTC) + timedelta(seconds=60)) == []
        assert tx.last_seq() == 6

    await store.read(look)


async def test_numbers_are_never_used_again(store: Store) -> None:
    await store.transact(lambda tx: [tx.append("notice", "t1") for _ in range(3)])
    assert await store.transact(lambda tx: tx.drop_events("t1")) == 3
    assert await store.transact(lambda tx: tx.append("notice", "t2")) == 4
