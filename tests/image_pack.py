"""A pack of pictures that the test draws: patterns of fields in three colours, a group each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from honed.formats import read_pack
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.session import Session, open_session
from honed.settle import settle
from honed.workspace import Workspace, create

SETTINGS = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'

COLOURS = {"warm": (230, 90, 40), "cold": (40, 90, 230), "pale": (170, 190, 170)}
SIDE = 32


def write_pack(folder: Path, *, alike: int = 0, sizes: tuple[int, int, int] = (40, 12, 20)) -> Path:
    """Each group is a pattern of 4 x 4 fields, drawn in three colours with a little noise.

    Args:
        folder: For the pack.
        alike: Every so many-th group is drawn in one colour three times, as some things look the same everywhere; 0 for none.
        sizes: Groups of train, dev and test.
    """
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows, splits = [], {"train": [], "dev": [], "test": []}
    train, dev, _ = sizes
    for group in range(sum(sizes)):
        split = "train" if group < train else "dev" if group < train + dev else "test"
        splits[split].append(f"g{group}")
        fields = np.kron(rng.random((4, 4)) < 0.5, np.ones((SIDE // 4, SIDE // 4)))[:, :, None]
        same = alike and group % alike == 0
        for variant, colour in COLOURS.items():
            colour = COLOURS["cold"] if same else colour
            pixels = 255 - fields * (255 - np.array(colour)) * 0.5 - (1 - fields) * (255 - np.array(colour)) * 0.1
            pixels = np.clip(pixels + rng.normal(0, 1 if same else 6, pixels.shape), 0, 255).astype(np.uint8)
            name = f"g{group}_{variant}"
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            row = {"id": name, "path": f"images/{name}.png", "caption": f"pattern {group}", "tags": [variant]}
            rows.append({**row, "group": f"g{group}", "variant": variant, "split": split})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "splits").mkdir()
    for split, names in splits.items():
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


def import_images(session: Session, pack: Path) -> None:
    """Import an image pack; nothing is described yet."""
    with Sandbox(ocr=False) as sandbox:
        import_pack(Intake(session.workspace, session.catalog, sandbox, 160), read_pack(pack))


def workspace_of(folder: Path, pack: Path) -> Workspace:
    """A workspace with the pictures of a pack and an untuned release."""
    workspace = create(folder, SETTINGS)
    with open_session(workspace, create=True) as opened:
        import_images(opened, pack)
        settle(opened, lambda _: None)
    return workspace
