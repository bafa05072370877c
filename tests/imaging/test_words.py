"""Words look for pictures, for real: titles say nothing, tags name colour and density, and only the pixels show them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="tuning needs the extra: pip install 'honed[tune]'")

from honed.catalog import images
from honed.errors import UsageError
from honed.evaluate.image_board import TextBoard
from honed.formats import read_pack
from honed.imaging import words
from honed.imaging.retriever import tune_images
from honed.imaging.summary import words_result
from honed.imaging.words import survey_words, tune_words
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.loop import settle
from honed.release.build import live_manifest
from honed.release.open import open_image_release
from honed.release.parts import CAPTIONS_ALONE
from honed.session import Session, open_session
from honed.summary import text
from honed.turn import WordsTurn
from honed.workspace import Workspace, create, read_json

COLOURS = {"warm": (230, 90, 40), "cold": (40, 90, 230), "pale": (170, 190, 170), "dark": (60, 60, 50)}
DENSITIES = {"rare": 0.2, "half": 0.5, "full": 0.8}
GROUPS, SIDE = 72, 32


def write_pack(folder: Path) -> Path:
    """Each group is a pattern of 4 x 4 fields, drawn in four colours; its title is a number."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(5)
    rows, splits = [], {"train": [], "dev": [], "test": []}
    for group in range(GROUPS):
        split = "train" if group < 40 else "dev" if group < 54 else "test"
        splits[split].append(f"g{group}")
        density = tuple(DENSITIES)[group % 3]
        fields = np.kron(rng.random((4, 4)) < DENSITIES[density], np.ones((SIDE // 4, SIDE // 4)))[:, :, None]
        for variant, colour in COLOURS.items():
            pixels = 255 - fields * (255 - np.array(colour)) * 0.5 - (1 - fields) * (255 - np.array(colour)) * 0.1
            pixels = np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)
            name = f"g{group}_{variant}"
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            row = {"id": name, "path": f"images/{name}.png", "caption": f"number {group}", "tags": [variant, density]}
            rows.append({**row, "group": f"g{group}", "variant": variant, "split": split})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "splits").mkdir()
    for split, names in splits.items():
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the pictures and an untuned release; tests work on copies."""
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'
    workspace = create(tmp_path_factory.mktemp("ws") / "ws", settings)
    pack = write_pack(tmp_path_factory.mktemp("pack"))
    with open_session(workspace, create=True) as opened, Sandbox(ocr=False) as sandbox:
        import_pack(Intake(workspace, opened.catalog, sandbox, 160), read_pack(pack))
        settle(opened, lambda _: None)
    return workspace.root


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Session]:
    with open_session(Workspace(copied(prepared, tmp_path_factory.mktemp("tuned")))) as opened:
        yield opened


def copied(prepared: Path, folder: Path) -> Path:
    return Path(shutil.copytree(prepared, folder / "ws"))


@pytest.fixture(scope="module")
def turn(session: Session) -> WordsTurn:
    done = tune_words(session, budget=120, tell=lambda _: None)
    assert done is not None
    return done


def test_only_a_plan_changes_nothing(prepared: Path, tmp_path: Path) -> None:
    shown: list[str] = []
    with open_session(Workspace(copied(prepared, tmp_path))) as opened:
        assert (
            tune_words(opened, budget=60, tell=lambda _: None, show_plan=lambda lines: bool(shown.extend(lines)))
            is None
        )
        assert not list(opened.workspace.runs.glob("*words*"))
    assert any("text-heads" in line for line in shown)


def test_what_is_learned_is_proven_and_live(turn: WordsTurn, session: Session) -> None:
    assert turn.verdict.proven, turn.verdict.reasons
    assert turn.comparison.metric == "map"
    assert turn.comparison.primary.candidate > turn.comparison.primary.base + 0.15
    assert turn.ground.sight.name.startswith("captions")
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, turn.release) == ("r2", "r2")
    side = manifest.images
    assert side is not None
    assert (side.text_space, side.weight, side.leads) == (manifest.space, turn.chosen.weight, turn.chosen.leads)
    assert turn.chosen.head.key == turn.ground.head.key, "what pictures pass through stays"


@pytest.mark.parametrize(("weight", "leads"), [(0.5, 0), (0.5, 3), (1.0, 3)])
def test_live_search_ranks_as_the_board_does(turn: WordsTurn, session: Session, weight: float, leads: int) -> None:
    found = open_image_release(session.workspace, session.catalog, session.settings)
    assert found.eye is not None
    assert (found.eye.weight, found.eye.leads) == (turn.chosen.weight, turn.chosen.leads)
    found = replace(found, eye=replace(found.eye, weight=weight, leads=leads))
    dense, head = found.eye.index.dense, found.eye.head
    questions = turn.ground.queries["test"].texts[:8]
    captions = np.zeros((len(questions), len(dense)), np.float32)
    for row, question in zip(captions, questions, strict=True):
        rowids, scores = found._described(question, 1000, None)
        row[np.searchsorted(dense.rowids, rowids)] = scores
    board = TextBoard(questions, np.ones(captions.shape, bool), np.arange(len(questions)), captions)
    vectors = head.apply(images.descriptors(session.catalog, found.eye.encoder.space, dense.rowids)[1])
    texts = head.apply_text(found.text.embedder.encode_document(questions))
    fused = board.fused(board.seen(texts, vectors, leads=leads), weight)
    names = {record.id: at for at, record in enumerate(images.by_rowid(session.catalog, dense.rowids).values())}
    for row, question in zip(fused, questions, strict=True):
        hits = found.by_text(question, len(dense))
        assert len(hits) == len(dense)
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(row)[::-1], atol=1e-5)
        np.testing.assert_allclose([hit.score for hit in hits], [row[names[hit.image.id]] for hit in hits], atol=1e-5)


def test_live_search_finds_what_only_pixels_say(turn: WordsTurn, session: Session) -> None:
    found = open_image_release(session.workspace, session.catalog, session.settings)
    assert found.eye is not None
    pure = replace(found, eye=replace(found.eye, weight=1.0, leads=0))  # live search knows the tags: look past them
    hits = pure.by_text("cold", 20)
    assert sum("_cold" in hit.image.external_id for hit in hits) >= 15


def test_leaves_a_report_with_grids_and_the_proof(turn: WordsTurn, session: Session) -> None:
    page = (turn.run.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 20
    assert "<script" not in page
    assert turn.exam.board.ids[int(np.nanargmax(turn.comparison.deltas))] in page
    outcome = read_json(turn.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(words_result(turn)))
    assert (outcome["role"], outcome["verdict"], outcome["release"]) == ("text-to-image", "proven", "r2")
    measured = {outcome["baseline"]["name"], *(one["name"] for one in outcome["baseline"]["others"])}
    assert (
        measured
        == set(outcome["baseline"]["dev"])
        == {f"captions ({name})" for name in ("as live text", "bm25", "dense", "fusion", "rrf")}
    )
    assert "VERDICT: PROVEN -> release r2 is live." in text(session, turn)


def test_a_second_turn_counts_its_look_and_has_to_beat_the_live_release(turn: WordsTurn, session: Session) -> None:
    again = tune_words(session, budget=120, tell=lambda _: None)
    assert again is not None
    assert again.comparison.test_reads == 2
    assert again.exam.base.name == turn.release
    assert len(again.exam.others) == 5
    assert again.ground.dev[turn.release] == pytest.approx(turn.chosen.mean, abs=1e-6)
    assert not again.verdict.proven
    assert live_manifest(session.workspace, session.catalog).release == turn.release


def test_a_new_image_head_makes_the_text_matrix_void_and_says_so(turn: WordsTurn, session: Session) -> None:
    seen = tune_images(session, budget=120, tell=lambda _: None)
    assert seen is not None
    assert seen.verdict.proven, seen.verdict.reasons
    side = live_manifest(session.workspace, session.catalog).images
    assert side is not None
    assert (side.text_space, side.weight, side.leads) == ("", 0.0, 0)
    assert seen.notes == (CAPTIONS_ALONE,)
    assert CAPTIONS_ALONE in text(session, seen)
    assert CAPTIONS_ALONE in read_json(seen.run.folder / "result.json")["notes"]
    assert open_image_release(session.workspace, session.catalog, session.settings).eye is None
    assert survey_words(session, lambda _: None).sight.head is None, "the baseline is captions alone again"


def test_a_run_that_was_killed_after_its_rung_goes_on(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import honed.tune.images.text as learning

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with open_session(Workspace(copied(prepared, tmp_path))) as opened, monkeypatch.context() as patch:
        patch.setattr(words, "_sealed_test", killed)
        with pytest.raises(KeyboardInterrupt):
            tune_words(opened, budget=120, tell=lambda _: None)
    saved = next(opened.workspace.runs.glob("*words*")) / "text-heads.json"
    before = read_json(saved)
    told: list[str] = []
    with open_session(opened.workspace) as opened, monkeypatch.context() as patch:
        patch.setattr(learning, "tune_text", killed)  # what is finished is not trained again
        done = tune_words(opened, budget=120, tell=told.append)
    assert done is not None
    assert done.run.resumed
    assert f"going on with {done.run.id}" in told
    assert done.chosen.weight == before["weight"]
    assert done.comparison.test_reads == 1


def test_errors_say_what_is_missing(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_session(Workspace(copied(prepared, tmp_path))) as opened:
        task = words.load_caption_task(opened.catalog, seed=13)
        with monkeypatch.context() as patch:
            patch.setattr(words, "LEAST_TEST", 10_000)
            with pytest.raises(UsageError, match="questions in words about pictures in dev"):
                survey_words(opened, lambda _: None)
        bare = {split: replace(shown, titles=("",) * len(shown)) for split, shown in task.splits.items()}
        monkeypatch.setattr(words, "load_caption_task", lambda *_, **__: replace(task, splits=bare))
        with pytest.raises(UsageError, match="No picture has a caption"):
            survey_words(opened, lambda _: None)


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of random weights whose words are those of the pack."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    from tests.models.vision.test_transformers_encoder import CLIP_PICTURES, TEXT, VISION

    folder = tmp_path_factory.mktemp("clip") / "model"
    both = {"text_config": TEXT | {"projection_dim": 24}, "vision_config": VISION | {"projection_dim": 24}}
    transformers.CLIPModel(transformers.CLIPConfig(**both, projection_dim=24)).save_pretrained(folder)
    known = ["[PAD]", "[BOS]", "[EOS]", "[UNK]", *COLOURS, *DENSITIES, "number"]
    tokens = Tokenizer(models.WordLevel({word: at for at, word in enumerate(known)}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokens, pad_token="[PAD]", bos_token="[BOS]", eos_token="[EOS]", unk_token="[UNK]"
    ).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(CLIP_PICTURES))
    return folder


@pytest.mark.filterwarnings("ignore")
def test_a_clip_reads_with_its_own_tower_and_is_tuned_from_there(prepared: Path, tmp_path: Path, reading: Path) -> None:
    root = copied(prepared, tmp_path)
    settings = (root / "honed.toml").read_text().replace("thumbnail:8", f"transformers:{reading}")
    (root / "honed.toml").write_text(settings)
    with open_session(Workspace(root)) as opened:
        done = tune_words(opened, budget=120, tell=lambda _: None)
        assert done is not None
        assert f"untuned transformers:{reading}" in done.ground.dev, "what it finds untuned has to be beaten"
        assert done.ground.asked.questions.shape[1] == 256 + 24
        assert done.chosen.head.text_matrix is not None
        assert done.chosen.head.text_matrix.shape == (256 + 24, 24)
        assert done.verdict.proven, done.verdict.reasons
        found = open_image_release(opened.workspace, opened.catalog, opened.settings)
        hits = found.by_text("warm full", 12)
        assert sum("warm" in hit.image.external_id for hit in hits) > 6, "3 of 12 by chance"
