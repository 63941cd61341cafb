from __future__ import annotations

from rc_cli.view.conversation import Printer
from rc_cli.view.tasks import described, listing, plain


def test_a_newer_daemon_s_words_are_shown_as_they_come() -> None:
    newer = {
        "id": "01m8c457b05shyn2pb8hpwg6st",
        "spec": {"name": "later", "provider": "moon", "gravity": 0.16},
        "state": "TASK_STATE_HIBERNATING",
        "createdAt": "2026-11-24T12:00:00Z",
        "phase": {"of": "moon"},
        "credentialCustody": "vaulted",
    }
    task = plain(newer)
    assert "hibernating" in listing([task])
    assert "hibernating" in described(task)
    assert "vaulted" in described(task)


def test_events_of_a_kind_nobody_knows_are_passed_over() -> None:
    printer = Printer()
    assert printer.show("moon.rises", {"at": 3}) == ""
    assert printer.show("task.state", {"from": "working", "to": "hibernating"}).strip() == "— hibernating"


def test_messages_of_one_turn_begin_lines_of_their_own() -> None:
    printer = Printer()
    said = [("one ", "a"), ("goes on", "a"), ("two", "b")]
    text = "".join(printer.show("message.text", {"text": text, "message_id": of}) for text, of in said)
    assert text + printer.show("turn.ended", {}) == "one goes on\ntwo\n"
