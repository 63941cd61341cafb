"""How the agent gets into a sandbox over one byte stream: the daemon's dialogue and the text of the other side.

The daemon runs `python3 -S -E -c STAGE0 ...`. The other side says in one line what it is and whether it has the bundle;
it is sent if not; then `rc-agent connect` says RC-READY, and every byte after that line is HTTP/2. Lines carry a
nonce, so that banners and noise before them are skipped. Light imports only.
"""

from __future__ import annotations

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

WIRE = 1
HELLO = b"RC-HELLO "
READY = b"RC-READY "
FAILED = b"RC-FAILED "
# How the bytes after READY travel: as they are, or as rc_protos.stream.framing has them.
RAW, ASCII = "raw", "ascii"
# More noise than any banner, less than a runaway process.
MAX_NOISE = 1 << 20
_SHOWN = 300


def ready_line(nonce: str) -> bytes:
    """What the agent's side says when HTTP/2 may begin."""
    return READY + f"{WIRE} {nonce}".rstrip().encode() + b"\n"


def failed_line(nonce: str, reason: str) -> bytes:
    """What the agent's side says when it cannot go on."""
    return FAILED + f"{nonce} {' '.join(reason.split())}\n".encode("utf-8", "backslashreplace")


class Program:
    """What is sent and started: `main` of a module in the bundle, and the directory that it is kept in."""

    def __init__(self, module: str, home: str, words: tuple[str, ...] = ()) -> None:
        """`home`: where RC_STATE names no other; where it cannot be written, below /dev/shm or /tmp."""
        self.module = module
        self.home = home
        self.words = words


AGENT = Program("rc_agent.main", "~/.rc-agent")


class Send:
    """Write these bytes to the stream."""

    def __init__(self, data: bytes) -> None:
        self.data = data


class Ready:
    """The agent listens; `rest` are the first bytes of HTTP/2, if some have come already."""

    def __init__(self, rest: bytes) -> None:
        self.rest = rest


class Failed:
    """The agent cannot be had; `reason` is one line for the person."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Boot:
    """The daemon's side of the dialogue; sans-I/O: feed it what came, do what it answers."""

    def __init__(
        self,
        digest: str,
        size: int,
        bundle: Callable[[], bytes],
        nonce: str,
        lent: str = "",
        *,
        wire: str = RAW,
        program: Program = AGENT,
    ) -> None:
        """`bundle` gives the bundle's bytes; it is called only if they are needed. `nonce`: letters and digits.

        `lent`: where the unpacked bundle is to be seen if the sandbox was shown it; nothing is sent then.
        `wire`: ASCII where the stream is not 8-bit clean: the bundle comes as base64, what follows READY in frames.
        """
        self._lent = lent
        self._wire = wire
        self._program = program
        self._digest = digest
        self._size = size
        self._bundle = bundle
        self._nonce = nonce.encode()
        self._data = bytearray()
        self._noise = bytearray()
        self._over = False
        self.python = ""

    @property
    def argv(self) -> list[str]:
        """What to run in the sandbox."""
        words = [self._digest, str(self._size), self._nonce.decode(), self._lent, self._wire]
        program = self._program
        return ["python3", "-S", "-E", "-c", STAGE0, *words, program.module, program.home, *program.words]

    def feed(self, data: bytes) -> list[Send | Ready | Failed]:
        """What to do now that `data` has come."""
        self._data += data
        actions: list[Send | Ready | Failed] = []
        while not self._over and b"\n" in self._data:
            line, _, rest = bytes(self._data).partition(b"\n")
            self._data = bytearray(rest)
            actions += self._line(line)
        if not self._over and len(self._data) + len(self._noise) > MAX_NOISE:
            actions.append(self._fail("the sandbox answers with something else than our agent" + self._last_words()))
        return actions

    def eof(self) -> list[Send | Ready | Failed]:
        """What to do now that the stream has ended."""
        if self._over:
            return []
        if not self.python:
            reason = "the command python3 ended before it said anything (is there a python3?)"
        else:
            reason = "the stream ended before the agent was ready"
        self._noise += self._data
        return [self._fail(reason + self._last_words())]

    def _line(self, line: bytes) -> list[Send | Ready | Failed]:
        hello = self._after(HELLO + self._nonce + b" ", line)
        if hello is not None and not self.python:
            version, _, wish = hello.decode("ascii", "replace").partition(" ")
            self.python = version
            return [Send(self._packed())] if wish.strip() == "need" else []
        if self._after(ready_line(self._nonce.decode())[:-1], line) is not None:
            self._over = True
            rest, self._data = bytes(self._data), bytearray()
            return [Ready(rest)]
        failed = self._after(FAILED + self._nonce + b" ", line)
        if failed is not None:
            return [self._fail(failed.decode("utf-8", "replace").strip())]
        self._noise += line + b"\n"
        return []

    def _packed(self) -> bytes:
        data = self._bundle()
        return data if self._wire == RAW else binascii.b2a_base64(data)

    def _after(self, marker: bytes, line: bytes) -> bytes | None:
        """What follows the marker, which noise without a line end may precede."""
        _, found, after = line.partition(marker)
        return after if found else None

    def _fail(self, reason: str) -> Failed:
        self._over = True
        return Failed(reason)

    def _last_words(self) -> str:
        words = " ".join(bytes(self._noise[-_SHOWN:]).decode("utf-8", "replace").split())
        return f"; its last words: {words}" if words else ""


# Runs on whatever python3 there is, so it is written for the oldest: no syntax newer than 3.6.
STAGE0 = """
import os, sys
digest, size, nonce, lent, wire, module, home = sys.argv[1:8]
size = int(size)
if wire == "ascii" and os.isatty(0):
    import tty
    tty.setraw(0)
def say(text):
    data = ("RC-" + text + "\\n").encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(1, data):]
def fail(text):
    say("FAILED " + nonce + " " + " ".join(text.split()))
    sys.exit(1)
version = "%d.%d.%d" % sys.version_info[:3]
if sys.version_info < (3, 11):
    say("HELLO " + nonce + " " + version + " old")
    fail("the python3 there is " + version + ", 3.11 or newer is needed")
def usable(place):
    try:
        os.makedirs(place, 0o700, exist_ok=True)
        return os.lstat(place).st_uid == os.getuid() and os.access(place, os.W_OK | os.X_OK)
    except OSError:
        return False
user = str(os.getuid())
given = os.environ.get("RC_STATE")
name = os.path.basename(home).lstrip(".") + "-" + user
places = [given] if given else [os.path.expanduser(home), "/dev/shm/" + name, "/tmp/" + name]
home = next((place for place in places if usable(place)), None)
if home is None:
    say("HELLO " + nonce + " " + version + " homeless")
    fail("no directory in the sandbox can be written: " + ", ".join(places))
os.environ["RC_STATE"] = home
root = lent if lent and os.path.exists(lent + "/__main__.py") else os.path.join(home, "bundle", digest)
def unpack(data, into):
    # The zip module would take longer to import than this takes to run; our zips hold all sizes in the entries' heads.
    import zlib
    number = lambda at, length: int.from_bytes(data[at:at + length], "little")
    at, made = 0, set()
    while data[at:at + 4] == b"PK\\3\\4":
        start = at + 30 + number(at + 26, 2) + number(at + 28, 2)
        end = start + number(at + 18, 4)
        path = os.path.join(into, data[at + 30:at + 30 + number(at + 26, 2)].decode())
        folder = os.path.dirname(path)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        with open(path, "wb", 0) as file:
            file.write(zlib.decompress(data[start:end], -15))
        at = end
def receive():
    import hashlib, shutil
    parts, left = [], size if wire == "raw" else (size + 2) // 3 * 4 + 1
    while left:
        part = os.read(0, min(left, 1 << 20))
        if not part:
            fail("the stream ended while the agent was sent")
        parts.append(part)
        left -= len(part)
    data = b"".join(parts)
    if wire == "ascii":
        import binascii
        try:
            data = binascii.a2b_base64(data)
        except ValueError:
            data = b""
    if hashlib.sha256(data).hexdigest() != digest:
        fail("the agent did not arrive whole: its sha256 differs")
    new = root + "." + nonce
    try:
        unpack(data, new)
        try:
            os.rename(new, root)
        except OSError:
            shutil.rmtree(new)
            if not os.path.isdir(root):
                raise
    except OSError as error:
        fail("the agent could not be stored in " + home + ": " + str(error))
if os.path.isdir(root):
    say("HELLO " + nonce + " " + version + " have")
else:
    say("HELLO " + nonce + " " + version + " need")
    receive()
sys.path.insert(0, root)
try:
    main = __import__(module, fromlist=["main"]).main
except Exception as error:
    fail("the agent does not start: " + repr(error))
main(["connect", nonce, wire] + sys.argv[8:])
"""
