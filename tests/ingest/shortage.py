"""A machine that is short of something, or refuses something, for real."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A program instead of the interpreter: it has the kernel refuse some calls, and then becomes the interpreter.
_PROGRAM = """#!{python}
import ctypes, os, struct, sys
prctl, calls = {{"x86_64": (157, {x86_64}), "aarch64": (167, {aarch64})}}[os.uname().machine]
step = lambda *values: struct.pack("<HBBI", *values)
steps = [step(0x20, 0, 0, 0)]
for number in calls:
    steps += [step(0x15, 0, 1, number), step(0x06, 0, 0, 0x00050000 | {error})]
if {filters}:
    steps += [step(0x15, 0, 3, prctl), step(0x20, 0, 0, 16), step(0x15, 0, 1, 22), step(0x06, 0, 0, 0x00050000 | {error})]
code = ctypes.create_string_buffer(b"".join([*steps, step(0x06, 0, 0, 0x7FFF0000)]))
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(steps) + 1, ctypes.addressof(code)))) == 0
os.execv("{python}", ["{python}", *sys.argv[1:]])
"""
_LANDLOCK = (444, 445, 446)
_PROCESSES = ((56, 57, 58, 435), (220, 435))


def interpreter_without(folder: Path, *, landlock: bool = False, seccomp: bool = False, processes: bool = False) -> str:
    """Path of an interpreter for `sys.executable` to which the kernel refuses Landlock, further filters, or new processes."""
    x86_64, aarch64 = (
        (_LANDLOCK if landlock else ()) + (_PROCESSES[machine] if processes else ()) + ((filters,) if seccomp else ())
        for machine, filters in enumerate((317, 277))
    )
    path = folder / "interpreter"
    error = 11 if processes else 1
    path.write_text(
        _PROGRAM.format(python=sys.executable, x86_64=x86_64, aarch64=aarch64, filters=seccomp, error=error)
    )
    path.chmod(0o755)
    return str(path)


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process has as many files open as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
