"""Which runtime encodes fastest on this machine, found by trying for a few seconds and remembered."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from honed.models.artefacts import Arrays, Encoder
from honed.models.runtime import REFERENCE, RUNTIMES, Outputs, Runtime, cores, open_runtime
from honed.workspace import write_json

PROBE_FROM = 256
"""Below this many texts a probe costs more than it saves."""

SECONDS = 3.0
"""For all rounds after the first, which also checks the vectors. A runtime that has lost is not timed again."""

SLOW = 0.8
"""What has less than this part of the fastest's speed has lost."""

LEAD = 1.1
"""A runtime further from float32 is worth choosing only if it is this many times as fast; less is noise."""

MEAN_COSINE, MIN_COSINE = 0.99, 0.98
"""What a runtime must keep of the float32 vectors, over the whole trial."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime to use, and what was measured."""

    runtime: str
    per_second: dict[str, float]
    mean_cosine: dict[str, float]
    min_cosine: dict[str, float]
    left_out: dict[str, str]


def probe(encoder: Encoder, cache_dir: Path, *, threads: int = 0, only_cached: bool = False) -> Choice | None:
    """The fastest runtime whose vectors agree with float32, measured once for a model, a machine and its libraries.

    Args:
        encoder: A text tower or an image encoder.
        cache_dir: Where the choice and the graphs are kept.
        threads: Cores to use, 0 for all that this process may use.
        only_cached: Give None instead of measuring when nothing is remembered.
    """
    path = cache_dir / "encoders" / encoder.digest()[:32] / f"runtime-{_machine(cores(threads))}.json"
    remembered = _read(path)
    if remembered is not None or only_cached:
        return remembered
    choice = measure(encoder, cache_dir, threads=threads)
    write_json(path, asdict(choice))
    return choice


def measure(encoder: Encoder, cache_dir: Path, *, threads: int = 0) -> Choice:
    """Time every runtime that is installed on a few batches, one after the other, and compare it with the reference."""
    parts = encoder.trial()
    expected: Outputs | None = None
    left_out: dict[str, str] = {}
    means: dict[str, float] = {}
    lowest: dict[str, float] = {}
    speeds: dict[str, float] = {}
    runtimes: dict[str, Runtime] = {}
    for name in (name for name in RUNTIMES if encoder.has_int8 or not name.endswith("int8")):  # the reference is first
        try:
            runtime = open_runtime(name, encoder, cache_dir, threads=threads)
            _encode(runtime, parts[-1:])  # what is prepared at the first call is not timed
            seconds, vectors = _timed(runtime, parts)
        except Exception as error:  # a library that is missing or cannot run here only leaves the race
            if name == REFERENCE:
                raise
            left_out[name] = f"{type(error).__name__}: {error}"[:200]
            continue
        expected = vectors if expected is None else expected
        cosines = _cosines(vectors, expected)
        means[name], lowest[name] = round(float(cosines.mean()), 5), round(float(cosines.min()), 5)
        if means[name] >= MEAN_COSINE and lowest[name] >= MIN_COSINE:
            speeds[name], runtimes[name] = len(vectors) / seconds, runtime
        else:
            left_out[name] = "its vectors differ too much from float32"
    speeds = _race(speeds, runtimes, parts)
    return Choice(_best(speeds, means), speeds, means, lowest, left_out)


def _cosines(left: Outputs, right: Outputs) -> Outputs:
    """Cosine of each row with the row of the same number; image descriptors are not of unit length."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray(np.sum(left * right, axis=1) / lengths.clip(1e-12), np.float32)


def _race(first: dict[str, float], runtimes: dict[str, Runtime], parts: list[Arrays]) -> dict[str, float]:
    """Best speed of each in texts or pictures a second, in interleaved rounds; the slow drop out after the first."""
    speeds = dict(first)
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        close = [name for name in speeds if speeds[name] >= SLOW * max(speeds.values())]
        if len(close) == 1:
            break
        for name in close:
            seconds, vectors = _timed(runtimes[name], parts)
            speeds[name] = max(speeds[name], len(vectors) / seconds)
    return {name: round(speed, 1) for name, speed in speeds.items()}


def _best(speeds: dict[str, float], cosines: dict[str, float]) -> str:
    """The fastest, unless one that is nearer to float32 is about as fast."""
    close = [name for name in speeds if speeds[name] * LEAD >= max(speeds.values())]
    return max(close, key=lambda name: (round(cosines[name], 3), speeds[name]))


def _timed(runtime: Runtime, parts: list[Arrays]) -> tuple[float, Outputs]:
    """Seconds for all batches, and their vectors."""
    begin = time.perf_counter()
    vectors = _encode(runtime, parts)
    return time.perf_counter() - begin, vectors


def _encode(runtime: Runtime, parts: list[Arrays]) -> Outputs:
    with ThreadPoolExecutor(runtime.workers) as pool:
        return np.concatenate(list(pool.map(lambda part: runtime.run(*part), parts)))


def _read(path: Path) -> Choice | None:
    """A remembered choice. Whatever is wrong with the file, it is only measured again."""
    try:
        values: Any = json.loads(path.read_bytes())
        choice = Choice(**values)
        return choice if choice.runtime in RUNTIMES else None
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _machine(cores_used: int) -> str:
    """Short name of everything besides the model that a choice depends on: processor, cores, versions."""
    parts = [
        _processor(),
        str(cores_used),
        *(f"{name} {_version(name)}" for name in ("onnxruntime", "openvino", "onnx")),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Model name and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and a single query does not need it

    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
