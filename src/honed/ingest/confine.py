"""What a child gives up before it touches a document, in the order in which it has to be given up."""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import signal
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path

from honed.ingest import landlock, seccomp
from honed.ingest.limits import Limits

_PR_SET_PDEATHSIG = 1
_SLACK = 16 << 20
"""Library pages that are mapped already and are touched while parsing; measured: 3 MB."""
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000


@dataclass(frozen=True, slots=True)
class Protection:
    """What the sandbox could put in force on this machine; resource limits and the time limit always are.

    Attributes:
        landlock_abi: 0 where the kernel has no Landlock: then a parser could read files.
        seccomp: Sockets, programs and new processes are refused.
        network_namespace: The parsers live in a network with no way out.
    """

    landlock_abi: int
    seccomp: bool
    network_namespace: bool

    @property
    def complete(self) -> bool:
        """Files are out of reach, and so is the network."""
        return self.landlock_abi > 0 and (self.seccomp or self.network_namespace)

    def __str__(self) -> str:
        landlock_says = (
            f"Landlock {self.landlock_abi}" if self.landlock_abi else "no Landlock (parsers could read files)"
        )
        calls = "seccomp" if self.seccomp else "no seccomp"
        network = (
            "no network" if self.network_namespace else "network closed by seccomp" if self.seccomp else "open network"
        )
        return f"resource limits, {landlock_says}, {calls}, {network}"

    def as_dict(self) -> dict[str, int | bool]:
        """The fields as JSON values."""
        return asdict(self)


def leave_the_network() -> bool:
    """Move this process, which must have one thread, to an empty network namespace; whether the kernel allowed it."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return any(libc.unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def what_is_possible(*, network_namespace: bool) -> Protection:
    """The protection that `confine` will reach here."""
    return Protection(landlock.abi_version(), seccomp.available(), network_namespace)


def confine(limits: Limits, *, server: int) -> None:
    """Give up files, network, processes and most memory and time. Call once, in a fresh child, before parsing.

    Args:
        limits: Bounds of this parse.
        server: Process id of the parent; the child dies with it.
    """
    _die_with(server)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
    _limit_memory(limits.memory_bytes)
    # The kernel does not hold root to NPROC; there the seccomp filter refuses processes.
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    landlock.forbid_new_privileges()
    landlock.deny_everything(readable=_libraries())
    seccomp.deny_processes_and_network()


@functools.cache
def _libraries() -> tuple[Path, ...]:
    """Folders of installed code. Python imports on first use; they hold nothing that is the user's."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    base = sysconfig.get_paths(vars={"base": sys.base_prefix, "platbase": sys.base_prefix})
    found = {sysconfig.get_path(name) for name in names} | {base[name] for name in names}
    return (*(Path(path) for path in sorted(found)), Path(__file__).parents[1])


def _die_with(server: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != server:
        os._exit(1)


def _limit_memory(memory: int) -> None:
    """Limit address space, because RSS cannot be limited: what the libraries map but never touch is not counted."""
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
