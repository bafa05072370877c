"""A seccomp filter by ctypes: the system calls that parsers make are allowed, all others fail (x86-64 and AArch64).

Which calls these are was counted with strace over every parser, the hostile corpus, real documents and text recognition.
A filter sees numbers, never what a pointer points to: where a call is needed in one form only, its numbers are checked.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_ALL_BITS = 0xFFFFFFFF

# Per call: its number on x86-64 and on AArch64, which is the generic table of Linux.
_FREE: Mapping[str, tuple[int, int]] = {
    # Read the document and write the result: both are open already.
    "lseek": (8, 62),
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "write": (1, 64),
    "writev": (20, 66),
    "close": (3, 57),
    "fstat": (5, 80),
    "fadvise64": (221, 223),
    "dup": (32, 23),
    # Get and return memory of this process.
    "brk": (12, 214),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "mprotect": (10, 226),
    # Know the time, wait, and end; handle signals to this process.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "times": (100, 153),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Numbers that say nothing of the user: random bytes, own ids, "/", and the size of memory, which qsort asks for.
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getcwd": (79, 17),
    "sysinfo": (99, 179),
}
_CHECKED: Mapping[str, tuple[int, int]] = {
    "mmap": (9, 222),
    "madvise": (28, 233),
    "futex": (202, 98),
    "newfstatat": (262, 79),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "sched_getaffinity": (204, 123),
    "prlimit64": (302, 261),
    "tgkill": (234, 131),
    "openat": (257, 56),
    "statx": (332, 291),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Which of the two numbers is meant, and the architecture as the kernel names it to a filter."""

# Classic BPF: https://docs.kernel.org/userspace-api/seccomp_filter.html
_LOAD, _AND, _JUMP_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM

_Instruction = tuple[int, int, int, int]
"""Operation, jumps if true and if false, operand."""


@dataclass(frozen=True, slots=True)
class _Check:
    """An argument whose masked bits must be one of some values; `half` 1 is the upper one of its 64 bits."""

    argument: int
    values: Sequence[int]
    mask: int = _ALL_BITS
    half: int = 0


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_uint16), ("instructions", ctypes.c_char_p)]


def available() -> bool:
    """Whether there is a filter for this machine; whether the kernel takes it is another question."""
    return sys.platform == "linux" and platform.machine() in _MACHINES and sys.byteorder == "little"


def allow_only_parsing(*, may_open: bool = False) -> bool:
    """Make every system call but those of parsing fail with EPERM in this process, for good; new threads too.

    Needs `landlock.forbid_new_privileges` first, unless root.

    Args:
        may_open: Files may still be opened for reading. Only where Landlock says which.

    Returns:
        Whether the filter is in force: a call that it refuses was tried. False where there is none for this machine.

    Raises:
        OSError: The kernel refused the filter.
    """
    if not available():
        return False
    column, architecture = _MACHINES[platform.machine()]
    checks = _checks(os.getpid(), may_open)
    instructions = _filter(
        architecture,
        [numbers[column] for numbers in _FREE.values()],
        {_CHECKED[name][column]: name_checks for name, name_checks in checks.items()},
    )
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("<HBBI", *instruction) for instruction in instructions)
    program = _Program(len(instructions), code)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return bool(libc.getppid() == -1)  # it cannot fail otherwise


def _checks(pid: int, may_open: bool) -> Mapping[str, Sequence[_Check]]:
    """Conditions on the arguments of calls that parsers need in some forms only."""
    private, shared, anonymous, kind = 0x02, 0x01, 0x20, 0x0F
    at_empty_path, tcgets, wait, wake, wait_bits, wake_bits = 0x1000, 0x5401, 0, 1, 9, 10
    get_fd, set_fd, get_flags, dup_fd, dup_fd_cloexec = 1, 2, 3, 0, 1030
    changing = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_PATH | os.O_TMPFILE
    checks = {
        # Memory of its own, or of a file that it could read; nothing that a process could share.
        "mmap": [_Check(3, (private, private | anonymous, shared), kind | anonymous)],
        # Hints only: root may also poison pages of the machine (100 and 101).
        "madvise": [_Check(2, (0,), _ALL_BITS & ~31)],
        # Locks of its own threads: wait and wake, whatever the clock.
        "futex": [_Check(1, (wait, wake, wait_bits, wake_bits), _ALL_BITS & ~0x180)],
        # The C library's way to say fstat. A path could hide behind the pointer, see `confine._leave_the_root`.
        "newfstatat": [_Check(3, (at_empty_path,))],
        # Python asks of every file that it opens whether it is a terminal.
        "ioctl": [_Check(1, (tcgets,))],
        # Flags and copies of its own descriptors; no locks, no watching of folders, no signals to an owner.
        "fcntl": [_Check(1, (get_fd, set_fd, get_flags, dup_fd, dup_fd_cloexec))],
        # Its own cores and limits, and only to read them: root could raise a limit again.
        "sched_getaffinity": [_Check(0, (0,))],
        "prlimit64": [_Check(0, (0,)), _Check(2, (0,)), _Check(2, (0,), half=1)],
        # abort() sends itself a signal.
        "tgkill": [_Check(0, (pid,))],
    }
    # A file to read, and like newfstatat how large it is.
    opening = {"openat": [_Check(2, (0,), changing)], "statx": [_Check(2, (at_empty_path,))]}
    return checks | (opening if may_open else {})


def _filter(architecture: int, free: Sequence[int], checked: Mapping[int, Sequence[_Check]]) -> list[_Instruction]:
    """The program. Numbers of the x32 ABI, which carry a bit of their own, are among the calls that are not named."""
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for number in free:
        program += _if_equal(number, [])
    for number, checks in checked.items():
        program += _if_equal(number, [step for check in checks for step in _unless(check)])
    return [*program, (_RETURN, 0, 0, _REFUSE)]


def _if_equal(number: int, checks: Sequence[_Instruction]) -> list[_Instruction]:
    """Allow a call that passes its checks; step over all of this for another call."""
    body = [*checks, (_RETURN, 0, 0, _ALLOW)]
    return [(_JUMP_EQUAL, 0, len(body), number), *body]


def _unless(check: _Check) -> list[_Instruction]:
    """Refuse the call unless the argument has one of the values; each comparison that holds steps over the rest."""
    place = _ARGUMENTS_AT + 8 * check.argument + 4 * check.half
    left = range(len(check.values), 0, -1)
    compared = [(_JUMP_EQUAL, steps, 0, value) for steps, value in zip(left, check.values, strict=True)]
    return [(_LOAD, 0, 0, place), (_AND, 0, 0, check.mask), *compared, (_RETURN, 0, 0, _REFUSE)]
