"""The command line as a person meets it: the real `rc`, through pipes and at a terminal."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess
from support.person import Done, Person

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.xdist_group("cli")]
CTRL_C, DETACH = "\x03", "\x1d"
MAKES = "write new.txt hello"


@pytest.fixture(scope="module")
def me() -> Iterator[Person]:
    """One daemon and one repository for all of these tests."""
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")))
    daemon.start()
    yield Person(daemon, daemon.repository())
    asyncio.run(daemon.clean())


def run(me: Person, *words: str, **how: str) -> Done:
    return me.rc("run", "--agent", "demo", *words, **how)


# run


def test_a_run_streams_and_says_what_is_next(me: Person) -> None:
    done = run(me, "--name", "plain", "demo: say hello; run true; say bye")
    assert done.code == 0
    assert done.out.splitlines()[-4:] == ["hello", "● true", "bye", "— done"]
    assert done.err.splitlines()[-1] == "— next: rc diff plain · rc apply plain · rc say plain '...'"
    assert "\x1b" not in done.out + done.err


def test_a_run_that_fails_is_1_and_explained_by_one_command(me: Person) -> None:
    done = run(me, "--name", "broken", "demo: stderr it hurts here; crash")
    assert done.code == 1
    assert "— failed  the coding agent ended during turn 1 (signal 9)" in done.out
    assert "rc show broken" in done.err
    assert "| it hurts here" in me.ok("show", "broken")
    assert me.rc("wait", "broken").code == 1


@pytest.mark.parametrize("way", ["argument", "file", "dash", "pipe"])
def test_the_prompt_comes_from_anywhere(me: Person, way: str, tmp_path: Path) -> None:
    prompt = "demo: say from somewhere"
    (tmp_path / "prompt.md").write_text(prompt)
    words = {"argument": [prompt], "file": ["-F", str(tmp_path / "prompt.md")], "dash": ["-"], "pipe": []}[way]
    done = run(me, *words, stdin=prompt if way in ("dash", "pipe") else "")
    assert done.code == 0, done
    assert "\nfrom somewhere\n" in done.out


def test_in_the_background_only_the_id_is_data(me: Person) -> None:
    done = run(me, "-d", "demo: say hi")
    assert re.fullmatch("[0-9a-z]{26}\n", done.out)
    assert me.json("show", done.out[:-4].strip())["id"] == done.out.strip()
    assert me.rc("wait", done.out.strip()) == Done(0, "", "")
    made = json.loads(run(me, "-d", "--json", "--name", "as-json", "demo: say hi").out)
    assert (made["name"], made["branch"]) == ("as-json", "rc/as-json")


def test_a_run_as_json_is_one_event_a_line(me: Person) -> None:
    events = [json.loads(line) for line in run(me, "--json", "demo: say hi").out.splitlines()]
    assert events[0]["kind"] == "task.created"
    assert events[-1]["payload"]["to"] == "done"


def test_dirty_files_go_along_and_are_not_the_work(me: Person) -> None:
    (me.directory / "draft.txt").write_text("unfinished\n")
    try:
        assert run(me, "--name", "clean", "demo: say hi").code == 0
        assert run(me, "--dirty", "--name", "dirty", f"demo: {MAKES}").code == 0
    finally:
        (me.directory / "draft.txt").unlink()
    assert me.rc("exec", "clean", "--", "cat", "draft.txt").code == 1
    assert me.ok("exec", "dirty", "--", "cat", "draft.txt") == "unfinished\n"
    assert me.ok("diff", "dirty", "--stat").split()[0] == "new.txt"


def test_another_repository_at_a_ref(me: Person, tmp_path: Path) -> None:
    me.git("branch", "-f", "other")
    me.git("commit", "-q", "--allow-empty", "-m", "later")
    base = me.git("rev-parse", "other").strip()
    assert (
        run(me, "--name", "elsewhere", "--repo", f"file://{me.directory}@other", "demo: say hi", cwd=tmp_path).code == 0
    )
    assert me.json("show", "elsewhere")["baseCommit"] == base


# lists


@pytest.mark.parametrize(
    "words",
    [
        "ls",
        "ls --all",
        "ls --filter state=done",
        "show seen",
        "inbox",
        "inbox --all",
        "daemon status",
        "doctor",
        "config show",
        "config show --origin",
        "agent ls",
        "agent show demo",
    ],
)
def test_every_list_and_show_is_json_and_silent(me: Person, words: str) -> None:
    seen(me)
    done = me.rc(*words.split(), "--json")
    assert json.loads(done.out)
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("words", ["logs seen", "logs seen --tail 2", "events seen", "events", "events --since 1h"])
def test_every_log_is_a_json_document_a_line(me: Person, words: str) -> None:
    seen(me)
    done = me.rc(*words.split(), "--json")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [each["seq"] for each in lines] == sorted(each["seq"] for each in lines)
    assert all(isinstance(each["payload"], dict) for each in lines)
    assert len(lines) == 2 if "--tail" in words else len(lines) > 5
    assert (done.code, done.err) == (0, "")


def seen(me: Person) -> None:
    if me.rc("show", "seen").code:
        me.ok("run", "-d", "--agent", "demo", "--name", "seen", "demo: say hi; ask May I?")
        me.until("seen", "waiting")
        me.ok("approve", "seen")
        me.ok("run", "-d", "--agent", "demo", "--name", "asks", "demo: ask May I?")
        me.until("asks", "waiting")


def test_ls_says_what_each_waits_for_and_fails_of(me: Person) -> None:
    seen(me)
    assert "for you: May I?" in me.ok("ls", "--filter", "name=asks")
    assert me.ok("ls", "--filter", "name=asks", "--format", "{name} {state}") == "asks waiting\n"
    assert me.json("show", "asks")["id"] == me.ok("ls", "-q", "--filter", "name=asks").strip()


def test_logs_tail_and_follow(me: Person) -> None:
    me.task("logged", "say one; run true; say two")
    assert me.ok("logs", "logged", "--tail", "2") == "two\n— done\n"
    assert me.ok("logs", "logged", "--tail", "0") == ""
    me.ok("say", "logged", "more")
    assert me.ok("logs", "logged", "-f").endswith("— done\n")


# answering, ending, going on


def test_a_request_is_answered_once_from_anywhere(me: Person) -> None:
    me.ok("run", "-d", "--agent", "demo", "--name", "asking", "demo: askrun touch made; say over")
    me.until("asking", "waiting")
    assert "touch made" in me.ok("inbox", "asking")
    assert me.rc("deny", "asking", "--because", "not today").err == "denied: touch made\n"
    assert me.rc("approve", "asking").code == 7
    me.ok("wait", "asking")
    assert "denied: not today" in me.ok("logs", "asking")
    assert me.rc("exec", "asking", "--", "test", "-e", "made").code == 1


def test_cancel_ends_the_turn_and_say_goes_on(me: Person) -> None:
    me.ok("run", "-d", "--agent", "demo", "--name", "long", "demo: say begun; sleep 600")
    me.until("long", "working")
    me.ok("cancel", "long")
    me.ok("wait", "long")
    assert me.json("show", "long")["state"] == "stopped"
    me.ok("say", "long", "-", stdin="go on")
    me.ok("wait", "long")
    assert me.json("show", "long")["state"] == "done"


def test_stop_keeps_everything_and_resume_goes_on(me: Person) -> None:
    me.ok("run", "-d", "--agent", "demo", "--name", "halted", f"demo: {MAKES}; sleep 3; say finished")
    me.until("halted", "working")
    assert "rc resume halted" in me.rc("stop", "halted").err
    # A terminal in it needs no running coding agent.
    assert me.ok("exec", "halted", "--", "echo", "awake") == "awake\n"
    assert me.json("show", "halted")["state"] == "stopped"
    me.ok("resume", "halted")
    me.ok("wait", "halted")
    assert "finished" in me.ok("logs", "halted")
    assert "hello" in me.ok("diff", "halted")


def test_exec_after_stop_of_a_task_that_is_done(me: Person) -> None:
    me.task("rested")
    assert "rested is done, nothing of it runs" in me.rc("stop", "rested").err
    assert [me.ok("exec", "rested", "--", "echo", "up") for _ in range(2)] == ["up\n"] * 2


def test_retry_is_a_new_task_and_rm_saves(me: Person) -> None:
    me.task("first", MAKES)
    again = me.ok("retry", "first").strip()
    me.ok("wait", again)
    saved = re.search(r"saved in (\S+)\n", me.rc("rm", "first").err)
    assert saved
    assert any(Path(saved[1]).iterdir())
    assert me.rc("rm", "--discard", again).err.count("\n") == 1
    assert me.rc("show", "first").code == 3
    assert {again} <= {each["id"] for each in me.json("ls", "--all") if each["state"] == "removed"}


def test_many_at_once_and_one_is_wrong(me: Person) -> None:
    me.task("many-a"), me.task("many-b")
    done = me.rc("rm", "many-a", "nosuch", "many-b")
    assert done.code == 3
    assert done.err.splitlines()[-3:] == [
        "rc: there is no task 'nosuch'",
        "    list them with: rc ls",
        "many-b is removed",
    ]


# work


def test_exec_passes_everything_through(me: Person) -> None:
    me.task("box")
    every = bytes(range(256)) * 4096
    assert me.rc("exec", "box", "--", "cat", stdin=every).out == every.decode(errors="replace")
    assert me.rc("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7") == Done(7, "out\n", "err\n")
    assert me.rc("exec", "box", "--", "sh", "-c", "kill -9 $$").code == 137
    assert me.rc("exec", "box", "--", "nosuch").err == "rc: cannot run nosuch: No such file or directory\n"


def test_diff_apply_conflict_fetch(me: Person) -> None:
    me.task("work", f"{MAKES}; write README.md changed")
    assert me.ok("apply", "work") == "README.md\nnew.txt\n"
    assert me.git("status", "--short") == " M README.md\n?? new.txt\n"
    me.git("checkout", "-q", ".")
    (me.directory / "new.txt").write_text("mine")
    before = me.git("status", "--short")
    done = me.rc("apply", "work")
    assert (done.code, done.out) == (6, "")
    assert "nothing was changed" in done.err
    assert "rc fetch work && git merge rc/work" in done.err
    assert me.git("status", "--short") == before
    (me.directory / "new.txt").unlink()
    assert me.ok("fetch", "work") == "rc/work\n"
    assert me.git("show", "rc/work:new.txt") == "hello"


# at a terminal


def test_a_question_is_asked_and_answered(me: Person) -> None:
    with me.screen("run", "--agent", "demo", "demo: askrun echo it; say over") as screen:
        screen.see("allow this once?").type("y\n")
        screen.see("approved").see("over")
        assert screen.end() == 0


def test_a_question_may_be_left_or_answered_elsewhere(me: Person) -> None:
    with me.screen("run", "--agent", "demo", "--name", "twice", "demo: ask; say first; ask; say second") as screen:
        screen.see("allow this once?").type("\n")
        screen.see("it waits for you: rc approve")
        me.ok("approve", "twice")
        screen.see("first")
        screen.see("first\n● Go on?\n? Go on?\n  allow this once?")
        me.ok("deny", "twice")
        screen.see("denied").see("second")
        assert screen.end() == 0


@pytest.mark.parametrize(
    ("word", "code", "said"), [("d", 0, "detached"), ("c", 130, "the turn is ended"), (CTRL_C, 0, "detached")]
)
def test_ctrl_c_asks_whether_to_detach_or_cancel(me: Person, word: str, code: int, said: str) -> None:
    with me.screen("run", "--agent", "demo", "demo: say started; sleep 30") as screen:
        screen.see("\nstarted").type(CTRL_C)
        screen.see("[d]etach, [c]ancel").type(word if word == CTRL_C else word + "\n")
        screen.see(said)
        assert screen.end() == code


def test_the_conversation_is_joined_and_left(me: Person) -> None:
    me.task("talk", "say once upon a time")
    with me.screen("attach", "talk") as screen:
        screen.see("once upon a time").see("Ctrl-] detaches").type("and then\n")
        screen.see("> and then").see("I note down").type(DETACH)
        screen.see("come back with: rc attach talk")
        assert screen.end() == 0


def test_a_line_longer_than_the_terminal_stays_on_one_row(me: Person) -> None:
    me.task("wide")
    with me.screen("attach", "wide", columns=40) as screen:
        screen.see("detaches").type("it begins here " + "and goes on " * 6 + "日本語 to the end")
        screen.see("日本語 to the end")
        rows = [row for row in screen.text.splitlines() if "goes" in row]
        assert len(rows) == 1
        assert rows[0].startswith("> …")
        screen.type("\x15again\n")
        screen.see("> again").see("I note down").type("\x04")
        screen.see("come back with: rc attach wide")
        assert screen.end() == 0


def test_a_shell_lives_on_with_its_screen(me: Person) -> None:
    me.task("shells")
    with me.screen("shell", "shells") as screen:
        screen.see("$").type("printf '\\033[31mred\\033[0m %s\\n' $((40+2)); export KEPT=1\n")
        screen.see("red 42").type(DETACH)
        screen.see("come back with: rc shell shells")
        assert screen.end() == 0
    with me.screen("shell", "shells") as screen:
        screen.see("red 42").type("echo kept $KEPT; exit 5\n")
        screen.see("kept 1")
        assert screen.end() == 5
    assert b"\x1b[31m" in screen.raw
    assert b"\x1b[?1049l" not in screen.raw


def test_what_is_typed_while_a_shell_opens_reaches_it(me: Person) -> None:
    me.task("early")
    with me.screen("shell", "early") as screen:
        screen.type("echo early $((40+2)); exit 3\n")
        screen.see("early 42")
        assert screen.end() == 3


def test_a_full_screen_program_is_left_and_found_again(me: Person) -> None:
    me.task("full")
    with me.screen("shell", "full") as screen:
        screen.see("$").type("printf '\\033[?1049h%s' $((40+2)); read line\n")
        screen.see("42").type(DETACH)
        screen.see("come back with: rc shell full")
        assert screen.end() == 0
    assert screen.raw.count(b"\x1b[?1049l") == 1


def test_the_native_tui_and_back(me: Person) -> None:
    me.task("native", "say in the transcript")
    with me.screen("attach", "native", "--native") as screen:
        screen.see("in the transcript").type(DETACH)
        screen.see("detached")
        assert screen.end() == 0
    me.ok("say", "native", "back again")
    me.ok("wait", "native")


def test_the_native_tui_opens_after_the_turn(me: Person) -> None:
    me.ok("run", "-d", "--agent", "demo", "--name", "later", "demo: ask Well?; say over")
    me.until("later", "waiting")
    with me.screen("attach", "later", "--native", columns=120) as screen:
        screen.see("later is waiting for you: Well?; the TUI opens when the turn ends")
        me.ok("approve", "later")
        screen.see("over").type(DETACH)
        screen.see("detached")


def test_ls_watches(me: Person) -> None:
    with me.screen("ls", "--watch", "--filter", "name=watched", rows=6) as screen:
        screen.see("NAME")
        me.ok("run", "-d", "--agent", "demo", "--name", "watched", "demo: ask Well?")
        screen.see("for you: Well?").type(CTRL_C)
        assert screen.end() == 130


# completion


def test_bash_completes_commands_and_tasks(me: Person) -> None:
    me.task("complete-me")
    script = (
        "source <(rc completion bash); COMP_WORDS=({}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1));"
        ' _rc; echo "${{COMPREPLY[@]}}"'
    )
    for words, found in (
        ("rc dae", "daemon"),
        ("rc show complete", "complete-me"),
        ("rc daemon st", "start stop status"),
        ("rc run --is", "--isolation"),
        ("rc daemon logs --t", "--tail"),
        ("rc show complete-me --js", "--json"),
    ):
        assert me.run("bash", "-c", script.format(words)) == Done(0, found + "\n", "")
