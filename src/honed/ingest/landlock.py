"""Landlock by ctypes: a process gives up the file system, TCP and signals to others, for good (Linux 5.13 and later)."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

# The system call numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_ABI_VERSION = 1
_PR_SET_NO_NEW_PRIVS = 38

# Rights known to each ABI version: https://docs.kernel.org/userspace-api/landlock.html
_READ_FILE = 0b100
_RULE_PATH_BENEATH = 1
_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_BIND_AND_CONNECT = 0b11
_SCOPE_SOCKETS_AND_SIGNALS = 0b11


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_: ClassVar = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def abi_version() -> int:
    """The kernel's Landlock ABI version; 0 where there is none, or where it was not switched on.

    Raises:
        OSError: Something else than the kernel's age refuses Landlock, such as the filter of a container.
    """
    if sys.platform != "linux":
        return 0
    version = int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _GET_ABI_VERSION))
    if version < 0 and ctypes.get_errno() not in (errno.ENOSYS, errno.EOPNOTSUPP):
        raise _error()
    return max(0, version)


def forbid_new_privileges() -> None:
    """Set PR_SET_NO_NEW_PRIVS, which Landlock and seccomp require of an ordinary user."""
    if sys.platform == "linux" and _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _error()


def deny_everything(*, readable: Iterable[Path] = ()) -> int:
    """Deny this process every path, TCP port and foreign signal that the kernel can deny; open files stay usable.

    Args:
        readable: Files that may still be read.

    Returns:
        The ABI version in force, 0 where the kernel has no Landlock.

    Raises:
        OSError: Landlock was refused, or these rules were.
    """
    abi = abi_version()
    if not abi:
        return 0
    rights = [
        (1 << _FS_BITS.get(abi, _FS_BITS[5])) - 1,
        _TCP_BIND_AND_CONNECT if abi >= 4 else 0,
        _SCOPE_SOCKETS_AND_SIGNALS if abi >= 6 else 0,
    ]
    words = 1 if abi < 4 else 2 if abi < 6 else 3
    attributes = (ctypes.c_uint64 * words)(*rights[:words])
    libc = _libc()
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(8 * words), 0)
    if ruleset < 0:
        raise _error()
    try:
        for file in readable:
            with suppress(FileNotFoundError):
                _allow_reading(libc, ruleset, file)
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise _error()
    finally:
        os.close(ruleset)
    return abi


def _allow_reading(libc: ctypes.CDLL, ruleset: int, file: Path) -> None:
    handle = os.open(file, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(_READ_FILE, handle)
        if libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0):
            raise _error()
    finally:
        os.close(handle)


def _error() -> OSError:
    return OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
