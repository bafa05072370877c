"""How any image generator draws the targets of a test: a compact painter from arrays, another one as `honed imagine` asks it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from honed.models.painter.compact import CompactPainter
from honed.protocols import ImageGenerator
from honed.roles.image_generator.collection import Collection
from honed.roles.image_generator.held_out import Draw, Pixels, Targets, by_compact
from honed.roles.image_generator.pictures import Rows


def by_painter(painter: ImageGenerator, collection: Collection) -> Draw:
    """How a painter draws pictures of a collection, by the words and styles that it knows."""
    if not isinstance(painter, CompactPainter):
        return _by_words(painter, collection)
    draw = by_compact(painter)
    return lambda targets, references: draw(_understood(painter, collection, targets), references)


def _understood(painter: CompactPainter, collection: Collection, targets: Targets) -> Targets:
    """The targets as the painter understands them: styles by its numbers, words only if it knows their space."""
    pictures, config = targets.pictures, painter.config
    numbers = [0] + [config.styles.index(name) + 1 if name in config.styles else 0 for name in collection.styles]
    worded = config.text_space == collection.text_space
    texts = pictures.texts if worded else np.zeros((len(pictures.texts), config.text), np.float32)
    return replace(targets, pictures=replace(pictures, styles=np.array(numbers)[pictures.styles], texts=texts))


def _by_words(painter: ImageGenerator, collection: Collection) -> Draw:
    """From words, style and references of the collection's size, one picture at a time."""
    side = collection.pictures.pixels.shape[1]

    def draw(targets: Targets, references: Rows) -> Pixels:
        drawings = []
        for number, (row, given) in enumerate(zip(targets.rows.tolist(), references, strict=True)):
            pictures = [Image.fromarray(targets.pictures.pixels[other]) for other in given.tolist() if other >= 0]
            words, style, seed = collection.listing.asked[row], collection.style_of(row), targets.seed + number
            drawing = painter.generate(words, pictures, n=1, seed=seed, style=style)[0]
            drawings.append(np.asarray(drawing.resize((side, side), Image.Resampling.BICUBIC), np.uint8))
        return np.stack(drawings)

    return draw
