from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from honed.release.parts import CAPTIONS_ALONE, WORDLESS, ImageParts, image_parts, parts_of, words_lost

from honed.catalog import history
from honed.models.vision.head import plain_head
from honed.release.build import build, live_manifest
from honed.release.manifest import ImageSide, read_manifest
from honed.session import Session
from honed.workspace import sha256_file
from tests.release.conftest import parts


def seeing(tmp_path: Path) -> ImageParts:
    plain_head(4).write(tmp_path / "head")
    return ImageParts("thumbnail:8", "eye", head=tmp_path / "head", text_space="hash-1-64", weight=0.7, leads=3)


def test_the_image_side_goes_on_unchanged_in_the_next_release(session: Session, tmp_path: Path) -> None:
    build(
        session.workspace,
        session.catalog,
        parts(images=seeing(tmp_path)),
        expected=history.live_release(session.catalog),
        reason="x",
    )
    first = live_manifest(session.workspace, session.catalog)
    assert first.images is not None
    assert (first.images.weight, first.images.leads, first.images.finds_by_words) == (0.7, 3, True)
    again = parts_of(session.workspace, first, what="x", lineage={})
    build(session.workspace, session.catalog, again, expected=history.live_release(session.catalog), reason="x")
    assert live_manifest(session.workspace, session.catalog).images == first.images


def test_without_words_keeps_what_pictures_pass_through(tmp_path: Path) -> None:
    side = seeing(tmp_path)
    bare = side.without_words()
    assert replace(side, text_space="", weight=0.0, leads=0) == bare
    assert bare.head == side.head


def test_what_is_lost_is_said_only_where_something_is(session: Session, tmp_path: Path) -> None:
    untuned = live_manifest(session.workspace, session.catalog)
    assert words_lost(untuned) == ()
    build(
        session.workspace,
        session.catalog,
        parts(images=seeing(tmp_path)),
        expected=history.live_release(session.catalog),
        reason="x",
    )
    live = live_manifest(session.workspace, session.catalog)
    assert words_lost(live) == words_lost(live, space="another document tower") == (CAPTIONS_ALONE,)
    assert words_lost(live, space=live.space) == (), "a query tower or a weight leaves the text matrix valid"


def test_a_manifest_from_before_captions_led_still_reads(session: Session, tmp_path: Path) -> None:
    manifest = live_manifest(session.workspace, session.catalog)
    value = {**asdict(manifest), "images": asdict(ImageSide("thumbnail:8", "eye", weight=0.4))}
    del value["images"]["leads"]
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    read = read_manifest(tmp_path, sha256_file(tmp_path / "manifest.json"))
    assert read.images is not None
    assert (read.images.weight, read.images.leads) == (0.4, 0)
    assert image_parts(tmp_path, read.images) == ImageParts("thumbnail:8", "eye", weight=0.4)


def test_a_painter_goes_on_without_what_a_training_left_behind(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "painter"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "checkpoint-0123.safetensors", ".model.safetensors.tmp"):
        (folder / name).write_bytes(b"{}")
    build(
        session.workspace,
        session.catalog,
        parts(painter=folder),
        expected=history.live_release(session.catalog),
        reason="x",
    )
    live = live_manifest(session.workspace, session.catalog)
    assert set(live.files) == {"painter/config.json", "painter/model.safetensors"}
    build(
        session.workspace,
        session.catalog,
        parts_of(session.workspace, live, what="x", lineage={}),
        expected=history.live_release(session.catalog),
        reason="x",
    )
    assert live_manifest(session.workspace, session.catalog).files == live.files
    assert words_lost(live) == words_lost(live, space=live.space) == ()
    assert words_lost(live, space="another document tower") == (WORDLESS,)
