"""An image pack as arrays: prepared pixels, raw descriptors (kept in a folder between runs), groups, splits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from honed.evaluate.image_board import ImageBoard
from honed.models.vision.encoder import LocalImageEncoder
from honed.models.vision.folder import ImageTower, package_tower
from honed.workspace import sha256_file


@dataclass(frozen=True, slots=True, eq=False)
class Drawings:
    """Pictures of some splits of a pack, in the order of its table."""

    ids: list[str]
    groups: np.ndarray
    variants: list[str]
    splits: np.ndarray
    pixels: np.ndarray
    descriptors: np.ndarray
    parts: tuple[int, ...]
    tower: ImageTower

    def board(self, rows: np.ndarray) -> ImageBoard:
        """Some of the pictures as a scoreboard."""
        return ImageBoard([self.ids[row] for row in rows], self.groups[rows], [self.variants[row] for row in rows])


def load(pack: Path, splits: tuple[str, ...], cache: Path) -> Drawings:
    """Read and encode the pictures of the given splits; no other file is opened."""
    cache.mkdir(parents=True, exist_ok=True)
    lines = (pack / "items.jsonl").read_text().splitlines()
    items = [item for item in map(json.loads, lines) if item["split"] in splits]
    tower = package_tower()
    name = f"{pack.name}-{'-'.join(splits)}-{tower.digest()[:12]}-{sha256_file(pack / 'items.jsonl')[:8]}"
    pixels_file, descriptors_file = cache / f"{name}-pixels.npy", cache / f"{name}-descriptors.npy"
    if not descriptors_file.is_file():
        prepare = tower.config.preparation
        pixels = np.stack([prepare(Image.open(pack / item["path"])) for item in items])
        np.save(pixels_file, pixels)
        np.save(descriptors_file, LocalImageEncoder(tower, cache_dir=cache).encode_pixels(pixels))
    _, groups = np.unique([item["group"] for item in items], return_inverse=True)
    return Drawings(
        [item["id"] for item in items],
        groups.astype(np.int64),
        [item["variant"] for item in items],
        np.array([item["split"] for item in items]),
        np.load(pixels_file, mmap_mode="r"),
        np.load(descriptors_file),
        tuple(getattr(tower, "parts", ())),
        tower,
    )


def folds(groups: np.ndarray, count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to measure on, whole groups each."""
    place = np.random.default_rng(seed).permutation(groups.max() + 1)[groups] % count
    return [(np.flatnonzero(place != fold), np.flatnonzero(place == fold)) for fold in range(count)]
