"""What a child gives up before it touches a document, in the order in which it has to be given up."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from honed.ingest import landlock, seccomp
from honed.ingest.limits import Limits

_PR_SET_PDEATHSIG = 1
_SLACK = 16 << 20
"""Room for library pages that are mapped already and are touched while parsing: several times what was measured."""
_CLONE_NEWNET, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x40000000, 0x08000000, 0x10000000


@dataclass(frozen=True, slots=True)
class Protection:
    """What a child of this machine's server has really given up; resource limits and the time limit always are.

    Attributes:
        landlock_abi: 0 where Landlock is not in force.
        seccomp: Every system call but those of parsing is refused; this was tried.
        private_network: The parsers live in a network with no way out, with shared memory of their own.
        empty_root: The parsers see an empty file system, so that not even the existence of a file is told.
        refused: What the kernel has but did not grant, and why; empty on a sound machine.
    """

    landlock_abi: int = 0
    seccomp: bool = False
    private_network: bool = False
    empty_root: bool = False
    refused: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Files, network, processes and shared memory are out of reach: the filter leaves no call that gets there."""
        return self.seccomp

    @property
    def whole(self) -> bool:
        """It is complete, and nothing that stands behind it was refused."""
        return self.complete and not self.refused

    def __str__(self) -> str:
        landlock_says = f"Landlock {self.landlock_abi}" if self.landlock_abi else "no Landlock"
        calls = "seccomp" if self.seccomp else "no seccomp"
        closed = "network closed by seccomp" if self.seccomp else "open network"
        network = "no network" if self.private_network else closed
        root = ", empty root" if self.empty_root else ""
        open_files = "" if self.seccomp or self.landlock_abi else " (parsers could read files)"
        refused = f"; refused: {', '.join(self.refused)}" if self.refused else ""
        return f"resource limits, {landlock_says}, {calls}, {network}{root}{open_files}{refused}"

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protection:
        """What `as_dict` gave, perhaps by way of JSON."""
        return cls(**{**values, "refused": tuple(values["refused"])})


def leave_the_network() -> bool:
    """Move this process, which must have one thread, to an empty network and empty shared memory; whether it worked.

    Through a user namespace where the kernel asks for a right that an ordinary user has only there.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = _CLONE_NEWNET | _CLONE_NEWIPC
    return any(libc.unshare(flags) == 0 for flags in (wanted, _CLONE_NEWUSER | wanted))


def confine(limits: Limits, *, server: int, readable: Sequence[Path] = (), private_network: bool = False) -> Protection:
    """Give up files, network, processes and most memory and time. Call once, in a fresh child, before parsing.

    What is to be imported has to be imported before: nothing can be opened afterwards, except `readable` where Landlock
    holds the child to that.

    Args:
        limits: Bounds of this parse.
        server: Process id of the parent; the child dies with it.
        readable: Files that a parser has to open by their path, such as a font. They cost the empty root.
        private_network: What `leave_the_network` said to the parent.

    Returns:
        What is in force now.
    """
    _die_with(server)
    _bound(resource.RLIMIT_CORE, 0, 0)
    _bound(resource.RLIMIT_FSIZE, 0, 0)
    _bound(resource.RLIMIT_NOFILE, 64, 64)
    _bound(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)
    _limit_memory(limits.memory_bytes)
    # The kernel does not hold root to NPROC; there the seccomp filter refuses processes.
    _bound(resource.RLIMIT_NPROC, 0, 0)
    landlock.forbid_new_privileges()
    empty_root = not readable and _leave_the_root()
    refused: list[str] = []
    abi = _granted("Landlock", lambda: landlock.deny_everything(readable=readable), refused)
    may_open = bool(readable and abi)
    filtered = _granted("seccomp", lambda: seccomp.allow_only_parsing(may_open=may_open), refused)
    return Protection(abi, bool(filtered), private_network, empty_root, tuple(refused))


def _granted(name: str, give_up: Callable[[], int], refused: list[str]) -> int:
    try:
        return give_up()
    except OSError as error:
        refused.append(f"{name} ({error.strerror})")
        return 0


def _leave_the_root() -> bool:
    """Make a folder that holds nothing the root, for root and in a user namespace; whether it worked.

    Neither Landlock nor a filter can keep a process from asking for the metadata of a path: `newfstatat` has to be
    allowed, and its path lies behind a pointer. The folder is that of the child's own descriptors, as in Chromium.
    """
    try:
        os.chroot("/proc/self/fdinfo")
        os.chdir("/")
    except OSError:
        return False
    return True


def _die_with(server: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)


def _bound(kind: int, soft: int, hard: int) -> None:
    """Set a limit, or keep the one in force where it is lower."""
    before = resource.getrlimit(kind)[1]
    most = hard if before == resource.RLIM_INFINITY else min(hard, before)
    resource.setrlimit(kind, (min(soft, most), most))


def _limit_memory(memory: int) -> None:
    """Limit address space, because RSS cannot be limited: what the libraries map but never touch is not counted.

    Raises:
        ValueError: The machine allows this process less: then it is not the document that is too large.
    """
    mapped, resident = _memory()
    budget = mapped + max(memory - resident - _SLACK, memory // 4)
    resource.setrlimit(resource.RLIMIT_AS, (budget, budget))


def _memory() -> tuple[int, int]:
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  (Path costs more than the rest of this function)
            mapped, resident = statm.read().split()[:2]
    except OSError:
        return 0, 0
    page = resource.getpagesize()
    return int(mapped) * page, int(resident) * page
