"""A seccomp filter by ctypes: no sockets, no new processes, no programs, no looking into others (x86-64 and AArch64)."""

from __future__ import annotations

import ctypes
import errno
import platform
import sys
from typing import ClassVar

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_CLONE_THREAD = 0x10000
_X32_BIT = 0x40000000

# Per machine: audit architecture, clone, denied system calls in the order of _DENIED.
_DENIED = (
    "socket socketpair bind listen connect sendto execve execveat kill tkill ptrace unshare setns mount bpf userfaultfd "
    "process_vm_readv process_vm_writev perf_event_open keyctl add_key request_key open_by_handle_at pidfd_getfd "
    "pidfd_send_signal io_uring_setup"
)
_X86_64 = (41, 53, 49, 50, 42, 44, 59, 322, 62, 200, 101, 272, 308, 165, 321, 323, 310, 311, 298, 250, 248, 249, 304)
_AARCH64 = (
    198,
    199,
    200,
    201,
    203,
    206,
    221,
    281,
    129,
    130,
    117,
    97,
    268,
    40,
    280,
    282,
    270,
    271,
    241,
    219,
    217,
    218,
    265,
)
_SAME_EVERYWHERE = (438, 424, 425)
_FORK, _VFORK, _CLONE3 = 57, 58, 435
_MACHINES = {
    "x86_64": (0xC000003E, 56, (*_X86_64, *_SAME_EVERYWHERE, _FORK, _VFORK)),
    "aarch64": (0xC00000B7, 220, (*_AARCH64, *_SAME_EVERYWHERE)),
}

# Classic BPF: https://docs.kernel.org/userspace-api/seccomp_filter.html
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


class _Instruction(ctypes.Structure):
    _fields_: ClassVar = [
        ("code", ctypes.c_uint16),
        ("yes", ctypes.c_uint8),
        ("no", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_: ClassVar = [("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction))]


def available() -> bool:
    """Whether `deny_processes_and_network` will do something on this machine."""
    return sys.platform == "linux" and platform.machine() in _MACHINES and sys.byteorder == "little"


def deny_processes_and_network() -> bool:
    """Make the system calls above fail with EPERM in this process, for good; threads stay allowed.

    Needs `landlock.forbid_new_privileges` first, unless root.

    Returns:
        Whether the filter is in force; False on other machines or kernels without seccomp.
    """
    if not available():
        return False
    instructions = _filter(*_MACHINES[platform.machine()])
    array = (_Instruction * len(instructions))(*instructions)
    program = _Program(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(architecture: int, clone: int, denied: tuple[int, ...]) -> list[_Instruction]:
    refuse = _Instruction(_RETURN, 0, 0, _ERRNO | errno.EPERM)
    program = [
        _Instruction(_LOAD, 0, 0, _ARCHITECTURE_AT),
        _Instruction(_JUMP_EQUAL, 1, 0, architecture),
        _Instruction(_RETURN, 0, 0, _KILL),
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
        _Instruction(_JUMP_AT_LEAST, 0, 1, _X32_BIT),
        refuse,
    ]
    for number in denied:
        program += [_Instruction(_JUMP_EQUAL, 0, 1, number), refuse]
    # clone3 keeps its flags behind a pointer, out of a filter's sight: "not there" makes the C library use clone.
    program += [_Instruction(_JUMP_EQUAL, 0, 1, _CLONE3), _Instruction(_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    return [
        *program,
        _Instruction(_JUMP_EQUAL, 0, 3, clone),
        _Instruction(_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        _Instruction(_JUMP_BITS, 1, 0, _CLONE_THREAD),
        refuse,
        _Instruction(_RETURN, 0, 0, _ALLOW),
    ]
