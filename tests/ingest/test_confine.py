"""What a parser that a document has taken over can still do: each attempt is made by a confined process."""

from __future__ import annotations

import ctypes
import faulthandler
import fcntl
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from honed.errors import ServiceError
from honed.ingest import landlock, seccomp
from honed.ingest.confine import Protection, confine
from honed.ingest.limits import Limits
from honed.ingest.sandbox import Sandbox
from honed.types import Parsed
from tests.ingest.shortage import interpreter_without

needs_landlock = pytest.mark.skipif(not landlock.abi_version(), reason="the kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(not seccomp.available(), reason="no filter for this machine")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user needs a user namespace for this")
needs_x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="a call of x86")
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

_LIBC = ctypes.CDLL(None, use_errno=True)
_COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)


def in_confinement(action: Callable[[], object], readable: tuple[Path, ...] = ()) -> str:
    """The name of the error that an action ends with inside the sandbox, the signal that ends it, or "" if it succeeds."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        error = "nothing"
        try:
            confine(Limits(), server=os.getppid(), readable=readable)
            action()
            error = ""
        except BaseException as raised:
            error = type(raised).__name__
        finally:
            os.write(writing, error.encode())
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reading) as answer:
        told = answer.read()
    ended = os.waitstatus_to_exitcode(status)
    return signal.Signals(-ended).name if ended < 0 else told


def called(name: str, *arguments: object) -> int:
    """A function of the C library; raises what it left in errno."""
    result = int(getattr(_LIBC, name)(*arguments))
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def test_work_goes_on() -> None:
    assert in_confinement(lambda: sum(range(1000))) == ""


@needs_seccomp
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/tmp", "/", os.__file__])
def test_no_file_can_be_read(path: str) -> None:
    assert in_confinement(lambda: os.open(path, os.O_RDONLY)) == "PermissionError"


@needs_landlock
def test_landlock_alone_keeps_files_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "available", lambda: False)
    monkeypatch.setattr(os, "chroot", None)
    assert in_confinement(lambda: os.open("/etc/passwd", os.O_RDONLY), (Path("/etc/hostname"),)) == "PermissionError"


@needs_seccomp
def test_no_file_can_be_written(tmp_path: Path) -> None:
    assert in_confinement(lambda: (tmp_path / "new").write_text("x")) == "PermissionError"
    assert not (tmp_path / "new").exists()


@needs_seccomp
@needs_landlock
def test_a_named_file_can_be_read_but_no_other_and_not_changed(tmp_path: Path) -> None:
    font, other = tmp_path / "font", tmp_path / "other"
    font.write_text("f")
    other.write_text("o")
    assert in_confinement(font.read_bytes, (font,)) == ""
    assert in_confinement(lambda: font.open("r+"), (font,)) == "PermissionError"
    assert in_confinement(other.read_bytes, (font,)) == "PermissionError"
    assert in_confinement(lambda: os.open(other, os.O_PATH), (font,)) == "PermissionError"


METADATA: dict[str, Callable[[Path], object]] = {
    "stat": Path.stat,
    "lstat": Path.lstat,
    "access": lambda path: called("access", bytes(path), 0),
    "readlink": lambda path: path.with_suffix(".link").readlink(),
    "chmod": lambda path: path.chmod(0o666),
    "chown": lambda path: os.chown(path, 1, 1),
    "utime": lambda path: os.utime(path, (0, 0)),
    "truncate": lambda path: os.truncate(path, 0),
    "setxattr": lambda path: os.setxattr(path, "user.x", b"y"),
    "getxattr": lambda path: os.getxattr(path, "user.x"),
    "rename": lambda path: path.rename(path.with_suffix(".new")),
    "unlink": Path.unlink,
    "mkdir": lambda path: path.with_suffix(".folder").mkdir(),
    "symlink": lambda path: path.with_suffix(".second").symlink_to(path),
    "link": lambda path: path.with_suffix(".third").hardlink_to(path),
    "statvfs": os.statvfs,
    "chdir": lambda path: os.chdir(path.parent),
}


@needs_seccomp
@pytest.mark.parametrize("name", METADATA)
def test_metadata_of_other_files_is_out_of_reach(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    victim.with_suffix(".link").symlink_to(victim)
    before = (victim.stat(), sorted(tmp_path.iterdir()), os.listxattr(victim))
    assert in_confinement(lambda: METADATA[name](victim)) == "PermissionError"
    assert (victim.stat(), sorted(tmp_path.iterdir()), os.listxattr(victim)) == before


@needs_seccomp
@needs_root
def test_not_even_the_call_that_has_to_be_allowed_tells_whether_a_file_exists() -> None:
    number, at_empty_path = (262, 79)[_COLUMN], 0x1000
    space = ctypes.create_string_buffer(256)
    told = in_confinement(lambda: called("syscall", number, -100, b"/etc/passwd", space, at_empty_path))
    assert told == "FileNotFoundError"


@needs_seccomp
def test_limits_and_cores_of_others_and_own_limits_cannot_be_changed() -> None:
    parent = os.getpid()
    before = resource.getrlimit(resource.RLIMIT_NOFILE), os.sched_getaffinity(0)
    few, unbounded = (8, 8), (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert in_confinement(lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE, few)) == "PermissionError"
    assert in_confinement(lambda: resource.prlimit(parent, resource.RLIMIT_NOFILE)) == "PermissionError"
    assert in_confinement(lambda: resource.prlimit(0, resource.RLIMIT_AS, unbounded)) == "PermissionError"
    assert in_confinement(lambda: os.sched_setaffinity(parent, {0})) == "PermissionError"
    assert in_confinement(lambda: os.sched_getaffinity(parent)) == "PermissionError"
    assert in_confinement(lambda: os.setpriority(os.PRIO_PROCESS, parent, 19)) == "PermissionError"
    assert in_confinement(lambda: resource.getrlimit(resource.RLIMIT_NOFILE)) == ""
    assert (resource.getrlimit(resource.RLIMIT_NOFILE), os.sched_getaffinity(0)) == before


@needs_seccomp
def test_no_memory_outlives_a_parse() -> None:
    private, create, size = 0, 0o1600, 1 << 20
    before = Path("/proc/sysvipc/shm").read_text()
    assert in_confinement(lambda: called("shmget", private, size, create)) == "PermissionError"
    assert in_confinement(lambda: called("msgget", private, create)) == "PermissionError"
    assert in_confinement(lambda: called("semget", private, 1, create)) == "PermissionError"
    assert in_confinement(lambda: os.memfd_create("m")) == "PermissionError"
    assert in_confinement(lambda: called("mq_open", b"/m", os.O_CREAT | os.O_RDWR, 0o600, None)) == "PermissionError"
    shared = 0x21
    assert in_confinement(lambda: called("mmap", None, 4096, 3, shared, -1, 0)) == "PermissionError"
    assert Path("/proc/sysvipc/shm").read_text() == before


@needs_seccomp
def test_no_signal_reaches_others_and_nobody_is_watched() -> None:
    parent, terminate = os.getpid(), int(signal.SIGTERM)
    tgkill, tkill = ((234, 200), (131, 130))[_COLUMN]
    assert in_confinement(lambda: os.kill(parent, 0)) == "PermissionError"
    assert in_confinement(lambda: called("syscall", tgkill, parent, parent, terminate)) == "PermissionError"
    assert in_confinement(lambda: called("syscall", tkill, parent, terminate)) == "PermissionError"
    assert in_confinement(lambda: called("inotify_init1", 0)) == "PermissionError"
    assert in_confinement(lambda: fcntl.fcntl(0, fcntl.F_SETOWN, parent)) == "PermissionError"
    assert in_confinement(lambda: fcntl.fcntl(0, fcntl.F_NOTIFY, 1)) == "PermissionError"
    assert in_confinement(lambda: fcntl.ioctl(0, 0x5412, b"x")) == "PermissionError"  # TIOCSTI: type into the terminal
    assert in_confinement(lambda: called("ptrace", 16, parent, None, None)) == "PermissionError"


@needs_seccomp
def test_a_parser_can_still_abort() -> None:
    assert in_confinement(lambda: (faulthandler.disable(), os.abort())) == "SIGABRT"


@needs_seccomp
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX, socket.AF_NETLINK])
def test_no_socket(family: int, kind: int) -> None:
    assert in_confinement(lambda: socket.socket(family, kind)) == "PermissionError"


@needs_seccomp
def test_no_process_no_thread_no_program_and_no_right() -> None:
    assert in_confinement(os.fork) == "PermissionError"
    assert in_confinement(threading.Thread(target=print).start) == "RuntimeError"
    assert in_confinement(lambda: os.execv("/bin/true", ["true"])) == "PermissionError"
    assert in_confinement(lambda: os.setuid(0)) == "PermissionError"
    assert in_confinement(lambda: called("unshare", 0x10000000)) == "PermissionError"
    assert in_confinement(lambda: called("prctl", 1, 0, 0, 0, 0)) == "PermissionError"
    poison = 100
    assert in_confinement(lambda: called("madvise", None, 4096, poison)) == "PermissionError"


@needs_seccomp
@needs_x86
def test_other_ways_into_the_kernel_are_closed() -> None:
    x32 = 0x40000000
    assert in_confinement(lambda: called("syscall", x32 | 39)) == "PermissionError"
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"  # mov eax, 20; int 0x80; ret: getpid of the 32-bit table

    def enter() -> None:
        _LIBC.mmap.restype = ctypes.c_void_p
        place = _LIBC.mmap(None, 4096, 7, 0x22, -1, 0)
        ctypes.memmove(place, code, len(code))
        ctypes.CFUNCTYPE(ctypes.c_int)(place)()

    assert in_confinement(enter) in ("SIGSYS", "SIGSEGV")  # the latter where the kernel has no 32-bit calls


def test_a_filter_is_said_to_be_in_force_only_if_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "_filter", lambda *_: [])
    told: list[Protection] = []
    assert in_confinement(lambda: socket.socket().close()) == ""
    assert in_confinement(lambda: told.append(confine(Limits(), server=os.getppid())) or report(told[0])) == ""


def report(protection: Protection) -> None:
    assert not protection.seccomp and not protection.complete and not protection.whole
    assert "no seccomp" in str(protection)
    assert any(line.startswith("seccomp") for line in protection.refused) == seccomp.available()


def test_protection_is_named_as_it_was_measured(sandbox: Sandbox) -> None:
    protection = sandbox.protection
    assert protection.landlock_abi == landlock.abi_version()
    assert protection.seccomp == seccomp.available()
    assert str(protection).startswith("resource limits, ")
    assert protection.complete == protection.seccomp
    assert protection.refused == ()


@needs_seccomp
def test_a_refused_filter_is_named_and_nothing_is_parsed_unless_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.md"
    path.write_text("Some honest text.")
    monkeypatch.setattr(sys, "executable", interpreter_without(tmp_path, seccomp=True, landlock=True))
    with Sandbox(ocr=False) as sandbox:
        assert (sandbox.protection.seccomp, sandbox.protection.landlock_abi) == (False, 0)
        assert "parsers could read files" in str(sandbox.protection)
        with pytest.raises(ServiceError, match=r"refused: Landlock .*seccomp"):
            sandbox.parse(path)
    with Sandbox(ocr=False, required=False) as sandbox:
        assert isinstance(sandbox.parse(path), Parsed)
        assert sandbox.used and not sandbox.used.whole


@needs_seccomp
@needs_landlock
def test_refused_landlock_leaves_the_filter_in_force_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><title>A</title><text>words</text></svg>')
    monkeypatch.setattr(sys, "executable", interpreter_without(tmp_path, landlock=True))
    with Sandbox(ocr=False) as sandbox:
        assert isinstance(sandbox.parse(path), Parsed)
        assert sandbox.used and sandbox.used.complete and not sandbox.used.whole
        assert sandbox.used.refused == ("Landlock (Operation not permitted)",)


def test_a_kernel_without_landlock_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi_version", lambda: 0)
    assert landlock.deny_everything() == 0
    assert "no Landlock (parsers could read files)" not in str(Protection(seccomp=True))
    assert "parsers could read files" in str(Protection())
    assert Protection(seccomp=True).whole


def test_no_parser_imports_or_opens_anything_once_it_was_prepared(tmp_path: Path) -> None:
    program = Path(__file__).with_name("prepared.py")
    arguments = [sys.executable, "-m", "tests.ingest.prepared", str(tmp_path)]
    told = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=program.parents[2])
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""
