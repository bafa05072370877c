"""Parts of a release: carried on unchanged, void when what they were tuned with goes, read from older manifests."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from honed.models.vision.head import ImageHead
from honed.release.build import consequences, live_manifest, part_of
from honed.release.manifest import (
    CAPTIONS_ALONE,
    IMAGE_GENERATOR,
    IMAGE_RETRIEVER,
    RETRIEVER,
    TEXT_TO_IMAGE,
    Manifest,
    Part,
    read_manifest,
)
from honed.release.open import image_encoder_of, image_head_of
from honed.session import Session
from honed.workspace import sha256_file
from tests.release.conftest import Shipment, older_manifest, release, shipment, text_part

WORDLESS = "Pictures are drawn without words."


def head(path: Path, *, text: bool = False) -> Path:
    matrix = np.eye(192, 8, dtype=np.float32)
    made = ImageHead(np.zeros(192, np.float32), matrix, np.ones((64, 8), np.float32) if text else None)
    made.write(path)
    return path


def seeing(tmp_path: Path, key: str = "eye") -> dict[str, Part]:
    """An image side that was tuned, and a text matrix for it."""
    values = {"encoder": "thumbnail:8", "space": "thumbnail", "neighbours": 2}
    needs = {RETRIEVER: "hash-1-64", IMAGE_RETRIEVER: "eye"}
    return {
        IMAGE_RETRIEVER: Part(values, {"head": head(tmp_path / "head.safetensors")}, key),
        TEXT_TO_IMAGE: Part(
            {"weight": 0.7, "leads": 3},
            {"head": head(tmp_path / "text.safetensors", text=True)},
            needs=needs,
            otherwise=CAPTIONS_ALONE,
        ),
    }


def painting(tmp_path: Path) -> dict[str, Part]:
    folder = tmp_path / "painter"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "checkpoint-0123.safetensors", ".model.safetensors.tmp"):
        (folder / name).write_bytes(b"{}")
    needs = {RETRIEVER: "hash-1-64"}
    return {IMAGE_GENERATOR: Part({}, {"painter": folder}, needs=needs, otherwise=WORDLESS, lasts=True)}


def live(session: Session) -> Manifest:
    return live_manifest(session.workspace, session.catalog)


def test_parts_of_other_roles_go_on_unchanged_in_the_next_release(session: Session, tmp_path: Path) -> None:
    release(session, Shipment("pictures", seeing(tmp_path)))
    first = live(session)
    assert set(first.parts) == {RETRIEVER, IMAGE_RETRIEVER, TEXT_TO_IMAGE}
    assert release(session) == "r3"
    again = live(session)
    assert again.parts[IMAGE_RETRIEVER] == first.parts[IMAGE_RETRIEVER]
    assert again.parts[TEXT_TO_IMAGE] == first.parts[TEXT_TO_IMAGE]
    assert {name: digest for name, digest in again.files.items() if "image" in name} == first.files
    written = part_of(session.workspace, again, TEXT_TO_IMAGE).files["head"]
    assert ImageHead.read(written).text_matrix is not None


def test_the_text_matrix_is_void_when_another_image_side_comes_and_its_head_stays_what_it_was(
    session: Session, tmp_path: Path
) -> None:
    release(session, Shipment("pictures", seeing(tmp_path)))
    another = {IMAGE_RETRIEVER: seeing(tmp_path, key="another eye")[IMAGE_RETRIEVER]}
    release(session, Shipment("another eye", another))
    manifest = live(session)
    assert set(manifest.parts) == {RETRIEVER, IMAGE_RETRIEVER}
    encoder = image_encoder_of(session.workspace, replace(manifest, parts={}), session.settings)
    assert image_head_of(session.workspace, manifest, encoder).text_matrix is None


def test_the_text_matrix_is_void_when_another_document_tower_comes(session: Session, tmp_path: Path) -> None:
    release(session, Shipment("pictures", seeing(tmp_path)))
    release(session, shipment(embedder="hash:128", space="hash-1-128"))
    assert set(live(session).parts) == {RETRIEVER, IMAGE_RETRIEVER}


def test_what_is_lost_is_told_once_and_only_where_something_is(session: Session, tmp_path: Path) -> None:
    another_tower = shipment(embedder="hash:128", space="hash-1-128")
    assert consequences(live(session).parts, another_tower) == ()
    release(session, Shipment("pictures", seeing(tmp_path)))
    assert consequences(live(session).parts, another_tower) == (CAPTIONS_ALONE,)
    assert consequences(live(session).parts, shipment()) == (), "a query tower or a weight leaves the text matrix valid"
    another_eye = Shipment("x", {IMAGE_RETRIEVER: seeing(tmp_path, key="another eye")[IMAGE_RETRIEVER]})
    assert consequences(live(session).parts, another_eye) == (CAPTIONS_ALONE,)
    release(session, another_eye)
    assert consequences(live(session).parts, another_tower) == (), "it was told when it happened"
    both = Shipment("x", {RETRIEVER: text_part(space="hash-1-128"), **seeing(tmp_path)})
    assert consequences(live(session).parts, both) == (), "what comes new is not lost"


def test_a_painter_goes_on_without_what_a_training_left_behind_and_stays_when_it_is_void(
    session: Session, tmp_path: Path
) -> None:
    release(session, Shipment("painter", painting(tmp_path)))
    first = live(session)
    files = {f"image-generator/painter/{name}" for name in ("config.json", "model.safetensors")}
    assert set(first.files) == files
    release(session)
    assert live(session).files == first.files
    another_tower = shipment(embedder="hash:128", space="hash-1-128")
    assert consequences(live(session).parts, shipment()) == ()
    assert consequences(live(session).parts, another_tower) == (WORDLESS,)
    release(session, another_tower)
    assert set(live(session).files) == files, "it draws from references and style without words"
    assert consequences(live(session).parts, another_tower) == ()


def read(folder: Path, value: dict[str, Any]) -> Manifest:
    path = folder / "manifest.json"
    path.write_text(json.dumps(value))
    return read_manifest(folder, sha256_file(path))


OLD_IMAGES = {"encoder": "thumbnail:8", "space": "thumb", "head": "image-head.safetensors", "neighbours": 1}


def test_a_manifest_of_format_1_knows_no_pictures(session: Session, tmp_path: Path) -> None:
    value = older_manifest(format=1)
    del value["images"], value["painter"]
    manifest = read(tmp_path, value)
    assert set(manifest.parts) == {RETRIEVER}
    assert manifest.space == "hash-1-64"
    assert manifest.parts[RETRIEVER].files == {}


def test_a_manifest_of_format_2_is_read_as_parts_that_rank_and_see_as_before(session: Session, tmp_path: Path) -> None:
    """Its files lie at the top of the folder, and one head file serves pictures and words."""
    folder = session.workspace.releases / "r1"
    head(folder / "image-head.safetensors", text=True)
    side = OLD_IMAGES | {"text_space": "hash-1-64", "weight": 0.4, "leads": 2}
    files = {"image-head.safetensors": sha256_file(folder / "image-head.safetensors")}
    manifest = read(tmp_path, older_manifest(images=side, painter="painter", files=files))
    assert set(manifest.parts) == {RETRIEVER, IMAGE_RETRIEVER, TEXT_TO_IMAGE, IMAGE_GENERATOR}
    assert manifest.parts[TEXT_TO_IMAGE].values == {"weight": 0.4, "leads": 2}
    assert manifest.parts[TEXT_TO_IMAGE].fits(manifest.parts)
    assert manifest.parts[IMAGE_RETRIEVER].values["neighbours"] == 1
    assert manifest.parts[IMAGE_GENERATOR].files == {"painter": Path("painter")}
    encoder = image_encoder_of(session.workspace, replace(manifest, parts={}), session.settings)
    seen = image_head_of(session.workspace, manifest, encoder)
    assert seen.key == ImageHead.read(folder / "image-head.safetensors").key
    assert seen.text_matrix is not None


def test_a_text_matrix_of_format_2_for_another_document_tower_is_void(session: Session, tmp_path: Path) -> None:
    side = OLD_IMAGES | {"text_space": "an older tower", "weight": 0.4}
    manifest = read(tmp_path, older_manifest(images=side))
    assert not manifest.parts[TEXT_TO_IMAGE].fits(manifest.parts)
    assert manifest.parts[TEXT_TO_IMAGE].values["leads"] == 0, "from before captions led"
    assert consequences(manifest.parts, shipment(space="hash-1-128")) == (), "it was void before"


def test_parts_of_an_older_release_go_on_in_a_new_one(session: Session, tmp_path: Path) -> None:
    folder = session.workspace.releases / "r1"
    head(folder / "image-head.safetensors", text=True)
    side = OLD_IMAGES | {"text_space": "hash-1-64", "weight": 0.4, "leads": 2}
    files = {"image-head.safetensors": sha256_file(folder / "image-head.safetensors")}
    path = folder / "manifest.json"
    shutil.copy(path, tmp_path / "kept.json")
    path.write_text(json.dumps(older_manifest(images=side, files=files)))
    with session.catalog.transaction():
        session.catalog.execute("UPDATE releases SET manifest_sha256 = ? WHERE number = 1", (sha256_file(path),))
    release(session)
    manifest = live(session)
    assert manifest.parts[TEXT_TO_IMAGE].fits(manifest.parts)
    assert {path.as_posix() for path in manifest.parts[IMAGE_RETRIEVER].files.values()} == {
        "image-retriever/head.safetensors"
    }
    assert ImageHead.read(part_of(session.workspace, manifest, TEXT_TO_IMAGE).files["head"]).text_matrix is not None
