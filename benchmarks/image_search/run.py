"""Search by image at 4,200 to 100,000 pictures, and how fast pictures are encoded against torch.

    OMP_NUM_THREADS=1 python benchmarks/image_search/run.py --packs /path/to/packs > benchmarks/image_search/RESULTS.md

The 4,200 are emoji-images, encoded. Larger sizes repeat their descriptors with noise: encoding 100,000 pictures takes five
to ten CPU minutes and would say nothing more about search. The noise is scaled so that a repetition is as far from its
original (cosine after whitening) as a real augmented copy is (turned, scaled, recoloured, encoded). Queries are such copies.

Each size runs in a process of its own: SQLite catalog, descriptors, whitening head, index, all as `honed` uses them. Times
are CPU times of one thread unless they say wall, so that a busy machine changes them little. No quality is measured here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from honed.catalog import Catalog, documents, images
from honed.catalog.images import CatalogImages
from honed.index.dense import DenseIndex
from honed.index.images import ImageGeneration, ImageSpace, open_images, refresh_images
from honed.models.probe import probe
from honed.models.vision.encoder import LocalImageEncoder
from honed.models.vision.folder import package_tower
from honed.models.vision.head import ImageHead, whitening
from honed.types import Document, ImageRecord

PACK = "emoji-images"
SIZES = (4_200, 25_000, 50_000, 100_000)
DIMENSION = 512
QUERIES = 200
ADDED = 100
BLOCK = 5_000


def pictures(packs: Path) -> list[Image.Image]:
    """Every picture of the pack, in the order of its list."""
    folder = packs / PACK
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]
    found = [Image.open(folder / row["path"]) for row in rows]
    for picture in found:
        picture.load()
    return found


def augmented(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A copy that a person takes for the same picture: turned, shrunk, in other colours."""
    ground = Image.new("RGBA", picture.size, "white")
    copy = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    copy = copy.rotate(random.uniform(-12, 12), Image.Resampling.BICUBIC, fillcolor="white")
    side = round(picture.width * random.uniform(0.75, 1.0))
    frame = Image.new("RGB", picture.size, "white")
    place = random.integers(0, picture.width - side + 1, 2).tolist()
    frame.paste(copy.resize((side, side)), (place[0], place[1]))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Color, ImageEnhance.Contrast):
        frame = enhance(frame).enhance(random.uniform(0.75, 1.25))
    return frame


# -- encoding --------------------------------------------------------------------------------------------------------


@dataclass
class Speed:
    """Most pictures a second so far."""

    cpu: float = 0.0
    wall: float = 0.0

    def add(self, count: int, work: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        cpu, wall = time.process_time(), time.perf_counter()
        found = work()
        self.cpu = max(self.cpu, count / (time.process_time() - cpu))
        self.wall = max(self.wall, count / (time.perf_counter() - wall))
        return found


def in_torch(batch: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]] | None:
    """The same network in torch, float32, from the package that the weights were made for; None if it is not there."""
    try:
        import torch
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return None
    torch.set_num_threads(1)
    tower = package_tower()
    config = tower.config
    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in tower.tensors().items()})

    def encode(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(pixels), batch):
            values = torch.from_numpy(pixels[start : start + batch]).permute(0, 3, 1, 2).float()
            with torch.inference_mode():
                states = network.extract_features(
                    (values - config.preparation.mean[0]) / config.preparation.deviation[0]
                )
                parts.append(states.pow(config.gem).mean((2, 3)).pow(1 / config.gem).numpy())
        return np.concatenate(parts)

    return encode


def encoding(given: Sequence[Image.Image], cache: Path, rounds: int) -> None:
    """Print pictures a second of every runtime and of torch, in turns on the same pixels."""
    tower = package_tower()
    names = ("ort-fp32", "openvino-fp32", "openvino-bf16")
    ours = {name: LocalImageEncoder(tower, cache_dir=cache, threads=1, runtime=name) for name in names}
    prepare = next(iter(ours.values())).prepare
    preparing = Speed()
    pixels = preparing.add(len(given), lambda: np.stack([prepare(picture) for picture in given]))  # type: ignore[arg-type]
    systems: dict[str, Callable[[], NDArray[np.float32]]] = {}
    for batch in (4, 16, 64):
        theirs = in_torch(batch)
        if theirs is not None:
            systems[f"torch float32, batches of {batch}"] = lambda theirs=theirs: theirs(pixels)  # type: ignore[misc]
    systems |= {f"honed {name}": lambda name=name: ours[name].encode_pixels(pixels) for name in names}  # type: ignore[misc]
    speeds = {name: Speed() for name in systems}
    found: dict[str, NDArray[np.float32]] = {}
    for work in systems.values():
        work()
    for _ in range(rounds):
        for name, work in systems.items():
            found[name] = speeds[name].add(len(pixels), work)
    best = max((speed.cpu for name, speed in speeds.items() if name.startswith("torch")), default=np.nan)
    expected = next(iter(found.values()))
    choice = probe(tower, cache, threads=1)
    print(
        f"\n## Encoding: {len(given)} pictures of {pixels.shape[1]} pixels, one thread, best of {rounds} rounds in turns\n"
    )
    print(
        "| system | pictures/CPU s | x torch's best | pictures/s wall | cosine mean | min |\n|---|---:|---:|---:|---:|---:|"
    )
    for name, speed in speeds.items():
        cosines = np.sum(found[name] * expected, axis=1) / np.linalg.norm(found[name], axis=1)
        cosines /= np.linalg.norm(expected, axis=1)
        ratio = f"{speed.cpu / best:.2f}" if np.isfinite(best) else "-"
        row = f"| {name} | {speed.cpu:.1f} | {ratio} | {speed.wall:.1f} | {cosines.mean():.5f} | {cosines.min():.5f} |"
        print(row, flush=True)
    print(f"\nThe probe of this machine chose {choice.runtime if choice else '-'}. ", end="")
    print(f"Preparing (white ground, resize) takes {1e3 / preparing.cpu:.2f} CPU ms a picture and is not in the table.")


# -- searching -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Material:
    """What all sizes share: real descriptors, those of augmented copies as queries, the noise of a repetition."""

    descriptors: NDArray[np.float32]
    queries: NDArray[np.float32]
    noise: float

    def save(self, path: Path) -> None:
        np.savez(path, descriptors=self.descriptors, queries=self.queries, noise=self.noise)

    @classmethod
    def load(cls, path: Path) -> Material:
        with np.load(path) as file:
            return cls(file["descriptors"], file["queries"], float(file["noise"]))

    @property
    def head(self) -> ImageHead:
        return whitening(self.descriptors, DIMENSION)

    def blocks(self, count: int) -> Iterator[NDArray[np.float32]]:
        """The first so many descriptors: the real ones, then repetitions with noise."""
        random = np.random.default_rng(7)
        spread = self.descriptors.std(axis=0) * self.noise
        for start in range(0, count, BLOCK):
            at = np.arange(start, min(start + BLOCK, count))
            rows = self.descriptors[at % len(self.descriptors)]
            noise = random.standard_normal(rows.shape, np.float32) * spread
            yield rows + np.where((at >= len(self.descriptors))[:, None], noise, 0).astype(np.float32)


def material(given: Sequence[Image.Image], encoder: LocalImageEncoder) -> tuple[Material, float]:
    """Encode the pack and augmented copies, and scale the noise to them; also gives their mean cosine."""
    descriptors = encoder.encode_image(given)
    random = np.random.default_rng(3)
    at = random.choice(len(given), min(QUERIES, len(given)), replace=False)
    queries = encoder.encode_image([augmented(given[place], random) for place in at.tolist()])
    head = whitening(descriptors, DIMENSION)
    goal = float(np.sum(head.apply(queries) * head.apply(descriptors[at]), axis=1).mean())
    trial = random.standard_normal(descriptors[at].shape, np.float32) * descriptors.std(axis=0)

    def likeness(noise: float) -> float:
        return float(
            np.sum(head.apply(descriptors[at] + trial * np.float32(noise)) * head.apply(descriptors[at]), axis=1).mean()
        )

    low, high = 0.0, 4.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if likeness(middle) > goal else (low, middle)
    return Material(descriptors, queries, low), goal


def fill(catalog: Catalog, space: str, blocks: Iterator[NDArray[np.float32]], first: int = 0) -> int:
    """Put images with these descriptors under one document; returns how many there are then."""
    random = np.random.default_rng(first)
    name = f"album-{first}"
    with catalog.transaction():
        documents.add(catalog, Document(name, name, name), [])
    count = first
    for matrix in blocks:
        medias = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count, count + len(matrix))]
        records = [
            ImageRecord(
                images.image_id(name, at, media), name, at, media, "figure", 64, 64, "", int(random.integers(2**63))
            )
            for at, media in enumerate(medias, count)
        ]
        with catalog.transaction():
            images.add(catalog, name, records)
        images.put_descriptors(catalog, space, medias, matrix)
        count += len(matrix)
    return count


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.process_time()
    result = work()
    return time.process_time() - begin, result


def resident(key: str) -> float:
    """MB of this process now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def one_size(path: Path, count: int) -> dict[str, float]:
    """Every figure of one size."""
    given, encoder_space = Material.load(path), "5ca1e" * 6
    space = ImageSpace(encoder_space, given.head)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with Catalog(root / "catalog.db", create=True) as catalog:
            fill(catalog, encoder_space, given.blocks(count))
            source = CatalogImages(catalog)
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins again here
            before = resident("VmRSS")
            wall = time.perf_counter()
            build, generation = cpu(lambda: refresh_images(source, root, space))
            wall = time.perf_counter() - wall
            memory = resident("VmHWM") - before
            size = sum(file.stat().st_size for file in generation.folder.rglob("*") if file.is_file()) / 1e6
            del generation
            opened = open_images(root, space)
            assert opened is not None
            figures = {"build s": build, "build s wall": wall, "build MB": memory, "index MB": size}
            figures |= searched(opened, given)
            opening = min(cpu(lambda: open_images(root, space))[0] for _ in range(5))
            fill(catalog, encoder_space, iter([given.queries[:ADDED]]), first=count)
            added, _ = cpu(lambda: refresh_images(source, root, space))
            return figures | {"open ms": opening * 1e3, f"add {ADDED} s": added}


def searched(opened: ImageGeneration, given: Material) -> dict[str, float]:
    """Latency one query at a time, throughput in batches, agreement with exact search."""
    queries = given.head.apply(given.queries)
    opened.search(queries[:8], 10)
    each = np.array([cpu(lambda row=row: opened.search(queries[row : row + 1], 10))[0] for row in range(len(queries))])  # type: ignore[misc]
    batch, _ = cpu(lambda: [opened.search(np.tile(queries, (5, 1))[at : at + 256], 10) for at in range(0, 1000, 256)])
    near = np.array([cpu(lambda: opened.near_copies(123456789, 6))[0] for _ in range(50)])
    exact = DenseIndex(opened.dense.rowids, opened.dense.matrix).search(queries, 10)[1]
    found = opened.search(queries, 10)[1]
    recall = np.mean([len(np.intersect1d(left, right)) / 10 for left, right in zip(exact, found, strict=True)])
    return {
        "search p50 ms": float(np.median(each)) * 1e3,
        "search p99 ms": float(np.quantile(each, 0.99)) * 1e3,
        "queries/s": 5 * len(queries) / batch,
        "near-copies p50 ms": float(np.median(near)) * 1e3,
        "recall@10 of exact": float(recall),
    }


def searching(path: Path, sizes: Sequence[int]) -> None:
    """Print a table with a column a size, and how the figures grow."""
    columns = []
    for size in sizes:
        command = [sys.executable, __file__, "--material", str(path), "--size", str(size)]
        columns.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    print(f"\n## Search by image: {DIMENSION} dimensions, k = 10, exact up to 50,000, inverted lists above\n")
    print("| | " + " | ".join(f"{size:,}" for size in sizes) + " |\n|---|" + "---:|" * len(sizes))
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(f"{column[name]:,.4g}" for column in columns) + " |")
    last, before = columns[-1], columns[-2] if len(columns) > 1 else columns[-1]
    grown = sizes[-1] / sizes[-2] if len(sizes) > 1 else 1.0
    figures = ", ".join(f"{name} x{last[name] / before[name]:.2f}" for name in ("build s", "index MB", "build MB"))
    print(
        f"\nFrom {sizes[-2 if len(sizes) > 1 else -1]:,} to {sizes[-1]:,} pictures (x{grown:.2f}): {figures}.",
        flush=True,
    )


def whole(given: Sequence[Image.Image], cache: Path) -> None:
    """Print what a query by picture costs besides the search."""
    encoder = LocalImageEncoder(package_tower(), cache_dir=cache, threads=1)
    encoder.encode_image(given[:1])
    each = [cpu(lambda picture=picture: encoder.encode_image([picture]))[0] for picture in given[:QUERIES]]  # type: ignore[misc]
    print(f"\nEncoding the one picture of a query takes {np.median(each) * 1e3:.1f} CPU ms (p50), besides the search.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--material", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.material:
        print(json.dumps(one_size(options.material, options.size)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        cache, path = Path(folder) / "cache", Path(folder) / "material.npz"
        given = pictures(options.packs)
        print("# Search by image\n\n`OMP_NUM_THREADS=1 python benchmarks/image_search/run.py --packs PACKS`\n")
        load = os.getloadavg()[0]
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}. Times are CPU times of one thread."
        )
        encoding(given[:420], cache, options.rounds)
        encoder = LocalImageEncoder(package_tower(), cache_dir=cache, threads=1)
        found, goal = material(given, encoder)
        found.save(path)
        searching(path, options.sizes)
        whole(given, cache)
        print(
            f"\nThe mean cosine of an augmented copy to its original, and of a repetition, is {goal:.3f} after whitening."
        )


if __name__ == "__main__":
    main()
