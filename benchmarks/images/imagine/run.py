"""What does the compact painter draw of held-out things, and does retrieval matter?

    python benchmarks/images/imagine/run.py PACK [--minutes 30 | --steps N] [--split dev] [--out DIR]

PACK is a folder with items.jsonl and images/. Trains on its train split, draws every picture of the other split from retrieved,
random and no references, and writes result.json, samples.png (renewed every minute while it trains) and grid.png.
Retrieval is by text: the caption and keywords of a picture against those of all others of train and of the split.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from honed.formats import Item, read_pack
from honed.models import registry
from honed.models.painter.compact import CompactPainter
from honed.models.painter.config import PainterConfig
from honed.models.painter.sampler import Sampling
from honed.models.vision.folder import package_tower
from honed.models.vision.prepare import Preparation
from honed.tune.painter.objective import Flow
from honed.tune.painter.perception import Perception
from honed.tune.painter.pictures import Pictures, Rows, Variety, labels, retrieved
from honed.tune.painter.sheet import Sheet, sheet_png
from honed.tune.painter.speed import measure_speed
from honed.tune.painter.train import Course, PaintRecipe, train_painter
from honed.tune.painter.trial import Exhibition, Targets, exhibit, real_threshold

MOST_STYLES = 64
DRAWING_SHARE = 0.25
"""Of the budget, for drawing and measuring."""

REAL_PICTURES = 600
"""Pictures of train whose distances to their references say what a near-copy is."""


def load(pack: Path, split: str, config: PainterConfig, cache: Path) -> tuple[Pictures, Rows, Rows, PainterConfig]:
    """Pictures of train and of a split, rows of both, and the config with styles and text space filled in."""
    items = [item for item in read_pack(pack).items if item.split in ("train", split)]
    prepare = Preparation(config.side, "pad", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    pixels = np.stack([prepare(Image.open(pack / item.path)) for item in items])
    embedder = registry.load("embedder", registry.DEFAULTS["embedder"], cache_dir=cache, threads=1)
    words = [asked(item) for item in items]
    known = sorted(set(words))
    vectors = dict(zip(known, embedder.encode_query(known), strict=True))
    texts = np.stack([vectors[word] for word in words])
    styles = sorted({item.variant for item in items})
    styles = styles if len(styles) <= MOST_STYLES else []
    of_split = {
        name: np.array([at for at, item in enumerate(items) if item.split == name]) for name in ("train", split)
    }
    references = np.full((len(items), config.references), -1)
    every = np.arange(len(items))
    for name, allowed in (("train", of_split["train"]), (split, every)):
        rows = of_split[name]
        references[rows] = retrieved(texts[rows], texts, rows=rows, allowed=allowed, twins=every, k=config.references)
    pictures = Pictures(
        pixels,
        texts,
        labels([item.variant for item in items]) if styles else np.zeros(len(items), np.int64),
        np.array([item.group for item in items]),
        references,
    )
    config = replace(config, styles=tuple(styles), text=texts.shape[1], text_space=embedder.space)
    return pictures, of_split["train"], of_split[split], config


def asked(item: Item) -> str:
    return f"{item.caption}. {', '.join(item.tags)}" if item.tags else item.caption


def summary(shown: Exhibition, targets: Targets, config: PainterConfig) -> dict[str, Any]:
    styles = targets.pictures.styles[targets.rows]
    return {
        "gain_over_random": shown.gain,
        "gain_over_none": shown.drawn["retrieved"].nearer_than(shown.drawn["none"]),
        "near_copies": shown.near_copies,
        "near_copy_threshold": shown.threshold,
        "distance": {kind: float(one.distance.mean()) for kind, one in shown.drawn.items()},
        "pixel_distance": {kind: float(one.pixels.mean()) for kind, one in shown.drawn.items()},
        "kid": {kind: one.kid for kind, one in shown.drawn.items()},
        "distance_by_style": {
            name: float(shown.drawn["retrieved"].distance[styles == number].mean())
            for number, name in enumerate(config.styles, 1)
        },
    }


def copying(targets: Targets, perception: Perception) -> dict[str, float]:
    """What copying references would score: the first one, and their mean."""
    from honed.evaluate.pictures import map_distance, pixel_distance

    pictures, rows = targets.pictures, targets.rows
    known = pictures.pixels[targets.references("retrieved")]
    truth = perception(pictures.pixels[rows])[0]
    kinds = {"first": known[:, 0], "mean": known.mean(axis=1).round().astype(np.uint8)}
    found = {}
    for name, made in kinds.items():
        found[f"copy_{name}"] = float(map_distance(perception(made)[0], truth).mean())
        found[f"copy_{name}_pixels"] = float(pixel_distance(made, pictures.pixels[rows]).mean())
    return found


def grid(shown: Exhibition, targets: Targets, count: int, seed: int = 5) -> bytes:
    """Two blocks of lines: references, a gap, drawn from retrieved, random and no references, a gap, the true drawing."""
    pictures, rows = targets.pictures, targets.rows
    picked = np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)
    lines: list[list[Any]] = []
    for at in picked:
        known = [pictures.pixels[one] if one >= 0 else None for one in pictures.references[rows[at]]]
        drawn = [shown.pictures[kind][at] for kind in ("retrieved", "random", "none")]
        lines.append([*known, None, *drawn, None, pictures.pixels[rows[at]]])
    half = (len(lines) + 1) // 2
    right = lines[half:] + [[]] * (2 * half - len(lines))
    return sheet_png([[*left, None, *other] for left, other in zip(lines[:half], right, strict=True)], cell=64)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=0, help="train so many steps instead of so many minutes")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--out", type=Path, default=Path("imagine"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--targets", type=int, default=0, help="draw only so many")
    parser.add_argument("--grid", type=int, default=32, help="lines of the grid")
    for part in ("config", "recipe", "flow", "variety", "sampling"):
        parser.add_argument(f"--{part}", type=json.loads, default={}, help="JSON: what differs from the default")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(given.threads)
    config = PainterConfig(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in given.config.items()}
    )
    pictures, train, held_out, config = load(given.pack, given.split, config, given.out / "cache")
    perception = Perception.of(package_tower())
    recipe = PaintRecipe(
        **{"threads": given.threads} | given.recipe, flow=Flow(**given.flow), variety=Variety(**given.variety)
    )
    course = Course(pictures, train, config, recipe, perception)
    speed = measure_speed(course)
    course = replace(course, recipe=replace(recipe, bf16=speed.bf16))
    seconds = given.minutes * 60 * (1 - DRAWING_SHARE)
    shown_rows = np.random.default_rng(1).choice(held_out, min(12, len(held_out)), replace=False)
    sheet = Sheet(pictures, shown_rows, pictures.references[shown_rows], given.out / "samples.png")
    parameters = sum(value.numel() for value in course.fresh_net().parameters())
    print(
        f"{parameters:,} parameters, {speed.steps * recipe.batch:.0f} pictures a second, bf16 {speed.bf16}", flush=True
    )
    started, cpu = time.monotonic(), time.process_time()
    trained = train_painter(
        course,
        given.out / "painter",
        steps=given.steps or speed.affordable(seconds),
        seconds=float("inf") if given.steps else seconds,
        watch=sheet,
    )
    train_seconds, train_cpu = time.monotonic() - started, time.process_time() - cpu
    sampling = Sampling(**{"bf16": speed.bf16} | given.sampling)
    painter = registry.load("image-generator", f"compact:{trained.folder}", sampling=sampling)
    assert isinstance(painter, CompactPainter)
    rows = held_out[: given.targets] if given.targets else held_out
    some = np.random.default_rng(2).choice(train, min(REAL_PICTURES, len(train)), replace=False)
    targets = Targets(pictures, rows, held_out, real_threshold(pictures, some, perception))
    shown = exhibit(painter, targets, perception, tell=lambda line: print(line, flush=True))
    result = {
        "pack": given.pack.name,
        "split": given.split,
        "targets": len(rows),
        "parameters": parameters,
        "steps": trained.fit.steps,
        "train_seconds": round(train_seconds, 1),
        "train_cpu_seconds": round(train_cpu, 1),
        "all_cpu_seconds": round(time.process_time(), 1),
        "loss": [trained.fit.first_loss, trained.fit.last_loss],
        **summary(shown, targets, config),
        **copying(targets, perception),
        "config": config.to_json(),
        "recipe": asdict(course.recipe),
        "sampling": asdict(sampling),
    }
    (given.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    (given.out / "grid.png").write_bytes(grid(shown, targets, given.grid))
    print(
        json.dumps(
            {key: value for key, value in result.items() if key not in ("config", "recipe", "sampling")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
