"""Search for pictures over a real catalog and real indexes, with encoders that need no model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from honed.answer import pictures as pictures_module
from honed.answer.pictures import Eye, ImageRetriever
from honed.answer.retrieve import Retriever
from honed.answer.settings import RetrievalSettings
from honed.catalog import Catalog, images
from honed.catalog.images import CatalogImages
from honed.errors import MissingError, UsageError
from honed.index.images import ImageSpace, refresh_images
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from honed.ingest.embed import embed_missing
from honed.ingest.rendering import encoded, perceptual_hash
from honed.models.hashing import HashEmbedder
from honed.models.vision.head import ImageHead, plain_head
from honed.models.vision.thumbnail import ThumbnailEncoder
from honed.types import ImageRecord, Picture
from tests.catalog.make import drop, put

EMBEDDER, ENCODER = HashEmbedder(256), ThumbnailEncoder()
COLOURS = ("red", "green", "blue", "yellow")
SHAPES = ("disc", "square", "bar")


def draw(colour: str, shape: str, *, shift: int = 0) -> Image.Image:
    picture = Image.new("RGB", (64, 64), "white")
    pen = ImageDraw.Draw(picture)
    box = {"disc": (8, 8, 56, 56), "square": (4, 4, 60, 60), "bar": (4, 26, 60, 38)}[shape]
    (pen.ellipse if shape == "disc" else pen.rectangle)([edge + shift for edge in box], fill=colour)
    return picture


def picture_of(image: Image.Image) -> Picture:
    return Picture(image.tobytes(), image.size, *image.size)


def identity(image: Image.Image) -> tuple[str, int]:
    picture = picture_of(image)
    return hashlib.sha256(encoded(picture)).hexdigest(), perceptual_hash(picture)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path / "catalog.db", create=True) as opened:
        for colour in COLOURS:
            for shape in SHAPES:
                name, image = f"{colour}-{shape}", draw(colour, shape)
                document = put(opened, name, f"A {colour} {shape}.", meta={"colour": colour, "shape": shape})
                media, phash = identity(image)
                key, caption = images.image_id(document, 0, media), f"{colour} {shape}"
                record = ImageRecord(key, document, 0, media, "file", 64, 64, caption, phash, passage=f"{document}:0")
                with opened.transaction():
                    images.add(opened, document, [record])
                images.put_descriptors(opened, ENCODER.space, [media], ENCODER.encode_image([image]))
        put(opened, "letter", "A letter about a red disc, without a picture.")
        yield opened


@pytest.fixture
def found(catalog: Catalog, tmp_path: Path) -> ImageRetriever:
    embed_missing(catalog, EMBEDDER)
    refresh(catalog, tmp_path / "index", EMBEDDER.space)
    text = Retriever(
        "r1", catalog, EMBEDDER, IndexReader(tmp_path / "index", EMBEDDER.space, catalog), RetrievalSettings(), 50
    )
    head = plain_head(ENCODER.dimension)
    index = refresh_images(CatalogImages(catalog), tmp_path / "index", ImageSpace(ENCODER.space, head))
    return ImageRetriever("r1", text, Eye(ENCODER, head, index))


def names(hits: list) -> list[str]:
    return [hit.image.external_id for hit in hits]


def test_a_picture_finds_itself_its_copies_and_what_is_similar(found: ImageRetriever) -> None:
    same = draw("red", "disc")
    hits = found.by_image(same, *identity(same), 5)
    assert (names(hits)[0], hits[0].match, hits[0].rank) == ("red-disc", "same", 1)
    assert hits[0].score == pytest.approx(1, abs=1e-5)
    rough = same.resize((48, 48)).resize((64, 64))
    again = found.by_image(rough, *identity(rough), 5)
    assert (names(again)[0], again[0].match) == ("red-disc", "near-copy")
    moved = draw("red", "square", shift=3)
    media, _ = identity(moved)
    similar = found.by_image(moved, media, 0x0F0F_1234_5678_9ABC, 5)
    assert (names(similar)[0], similar[0].match) == ("red-square", "similar")
    assert [hit.score for hit in similar] == sorted((hit.score for hit in similar), reverse=True)


def test_words_find_pictures_by_what_is_written_about_them(found: ImageRetriever) -> None:
    hits = found.by_text("blue bar", 3)
    assert (names(hits)[0], hits[0].match) == ("blue-bar", "described")
    assert "letter" not in names(found.by_text("red disc", 20)), "a passage without a picture is no picture"
    assert ImageRetriever("r1", found.text).by_text("blue bar", 3) == hits, "captions need no eye"


def test_a_tuned_head_lets_words_find_what_is_seen(found: ImageRetriever, tmp_path: Path) -> None:
    """A text matrix fitted by least squares on captions finds pictures although captions count nothing.

    On those of the discs: words add up in a hash, so twelve captions of a colour and a shape span six dimensions only.
    """
    catalog = found.text.catalog
    discs = [rowid for rowid, record in images.by_rowid(catalog, range(1, 13)).items() if "disc" in record.caption]
    rowids, raw = images.descriptors(catalog, ENCODER.space, np.array(discs))
    records = images.by_rowid(catalog, rowids)
    captions = EMBEDDER.encode_document([f"A {records[row].caption}." for row in rowids.tolist()])
    assert found.eye is not None
    text_matrix = np.linalg.lstsq(captions, found.eye.head.apply(raw), rcond=None)[0].astype(np.float32)
    head = ImageHead(found.eye.head.centre, found.eye.head.matrix, text_matrix)
    seeing = replace(found, eye=replace(found.eye, head=head, weight=1.0))
    for colour in COLOURS:
        assert names(seeing.by_text(f"A {colour} disc.", 1)) == [f"{colour}-disc"]


def test_filters_hold_inside_of_the_search(found: ImageRetriever, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to spare, what does not match must not take the place of what does."""
    monkeypatch.setattr(pictures_module, "_SPARE", 0)
    same = draw("red", "disc")
    hits = found.by_image(same, *identity(same), 4, filters=[("shape", "bar")])
    assert sorted(names(hits)) == sorted(f"{colour}-bar" for colour in COLOURS)
    assert {hit.match for hit in hits} == {"similar"}, "the picture itself and its copies do not match"
    one = [("shape", "bar"), ("colour", "blue")]
    assert names(found.by_image(same, *identity(same), 4, filters=one)) == ["blue-bar"]
    assert names(found.by_text("red disc", 4, filters=one)) == ["blue-bar"]
    assert sorted(names(found.by_text("red disc", 4, filters=[("colour", "green")]))) == [
        f"green-{shape}" for shape in sorted(SHAPES)
    ]
    assert found.by_image(same, *identity(same), 4, filters=[("colour", "mauve")]) == []
    assert found.by_text("red disc", 4, filters=[("colour", "mauve")]) == []
    assert found.eye is not None
    wider = replace(found, eye=replace(found.eye, neighbours=2))
    assert names(wider.by_image(same, *identity(same), 4, filters=one)) == ["blue-bar"]


def test_what_is_seen_is_filtered_too(found: ImageRetriever) -> None:
    assert found.eye is not None
    head = found.eye.head
    text_matrix = np.random.default_rng(0).normal(size=(256, head.dimension)).astype(np.float32)
    seeing = replace(found, eye=replace(found.eye, head=ImageHead(head.centre, head.matrix, text_matrix), weight=1.0))
    assert len(seeing.by_text("red disc", 12)) == 12
    hits = seeing.by_text("red disc", 12, filters=[("shape", "square")])
    assert sorted(names(hits)) == sorted(f"{colour}-square" for colour in COLOURS)


def test_the_best_captions_lead_to_pictures_that_look_alike(found: ImageRetriever) -> None:
    """The text matrix knows nothing; the picture that the caption found leads to itself, then to what looks like it."""
    assert found.eye is not None
    plain = found.eye.head
    head = ImageHead(plain.centre, plain.matrix, np.zeros((256, plain.dimension), np.float32))
    blind = replace(found, eye=replace(found.eye, head=head, weight=1.0))
    led = replace(found, eye=replace(found.eye, head=head, weight=1.0, leads=1))
    looks = found.by_image(draw("blue", "bar"), *identity(draw("blue", "bar")), 4)
    assert names(led.by_text("blue bar", 4)) == names(looks)
    assert {hit.score for hit in blind.by_text("blue bar", 12)} == {0.0}


def test_a_deleted_picture_is_gone_at_once(found: ImageRetriever) -> None:
    drop(found.text.catalog, "red-disc")
    same = draw("red", "disc")
    assert "red-disc" not in names(found.by_image(same, *identity(same), 12))
    assert "red-disc" not in names(found.by_text("red disc", 12))


def test_neighbours_move_a_query_towards_what_it_found(found: ImageRetriever) -> None:
    assert found.eye is not None
    wider = replace(found, eye=replace(found.eye, neighbours=2))
    moved = draw("green", "square", shift=4)
    assert names(wider.by_image(moved, "0" * 64, 0, 1)) == ["green-square"]
    assert wider.by_image(moved, "0" * 64, 0, 1)[0].score > found.by_image(moved, "0" * 64, 0, 1)[0].score


def test_what_cannot_be_asked(found: ImageRetriever) -> None:
    with pytest.raises(UsageError, match="is empty"):
        found.by_text(" ")
    with pytest.raises(UsageError, match="at least 1"):
        found.by_text("red", 0)
    with pytest.raises(MissingError, match="Nothing sees"):
        ImageRetriever("r1", found.text).by_image(draw("red", "bar"), "0" * 64, 0)


def test_a_cited_passage_brings_its_picture(found: ImageRetriever) -> None:
    catalog = found.text.catalog
    shown = images.of_passages(catalog, ["id-of-red-disc:0", "id-of-letter:0", "id-of-red-disc:0"])
    assert [record.external_id for record in shown] == ["red-disc"]
    assert images.of_passages(catalog, []) == []
