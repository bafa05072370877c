"""What does the live image generator draw of held-out things? A grid by lot, with no picture of the pack in it.

    python benchmarks/images/grid.py WORKSPACE FILE.png [--count 40]

WORKSPACE is one in which `honed tune --role image-generator` made a release. Each picture of test is drawn from what live search finds for
its title, itself left out; the words below are its title.
"""

from __future__ import annotations

import argparse
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from honed.release.build import live_manifest
from honed.release.open import painter_of
from honed.roles.image_generator.collection import collect
from honed.roles.image_generator.drawing import by_painter
from honed.roles.image_generator.held_out import RETRIEVED, Targets
from honed.roles.image_generator.pictures import by_lot
from honed.roles.image_generator.systems import shape_of
from honed.session import open_session
from honed.workspace import at, write_atomic

CELL, WORDS, ACROSS, SEED = 96, 14, 8, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args()
    with open_session(at(options.workspace)) as session:
        painter = painter_of(session.workspace, live_manifest(session.workspace, session.catalog), session.settings)
        collection = collect(session, *shape_of(painter), print)
        test = collection.rows["test"]
        rows = by_lot(test, options.count, SEED)
        targets = Targets(collection.pictures, rows, test, 0.0, session.settings.seed)
        drawn = by_painter(painter, collection)(targets, targets.references(RETRIEVED))
    down = -(-len(rows) // ACROSS)
    sheet = Image.new("RGB", (ACROSS * (CELL + 8) + 8, down * (CELL + WORDS + 10) + 8), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(10)
    for number, (row, picture) in enumerate(zip(rows.tolist(), drawn, strict=True)):
        left, top = 8 + number % ACROSS * (CELL + 8), 8 + number // ACROSS * (CELL + WORDS + 10)
        sheet.paste(Image.fromarray(np.asarray(picture)).resize((CELL, CELL), Image.Resampling.BICUBIC), (left, top))
        pen.text((left, top + CELL + 1), collection.listing.asked[row][:19], fill="black", font=font)
    file = BytesIO()
    sheet.save(file, "PNG", optimize=True)
    write_atomic(options.file, file.getvalue())
    print(f"{len(rows)} drawings in {options.file}")


if __name__ == "__main__":
    main()
