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

from honed.answer.fusion import FusionSettings
from honed.answer.settings import RetrievalSettings
from honed.catalog import images
from honed.errors import UsageError
from honed.evaluate.captions import search_live
from honed.evaluate.image_board import TextBoard
from honed.evaluate.untuned import PLAIN
from honed.index.images import ImageSpace
from honed.models.vision.head import ImageHead
from honed.release.build import live_manifest
from honed.release.manifest import CAPTIONS_ALONE, IMAGE_RETRIEVER, TEXT_TO_IMAGE
from honed.release.open import open_image_release
from honed.roles.image_retriever.role import ImageRetriever
from honed.roles.text_to_image import role as roles
from honed.roles.text_to_image import snapshot as data
from honed.roles.text_to_image import systems
from honed.roles.text_to_image.asking import LESS, captions_of
from honed.roles.text_to_image.role import TextToImage
from honed.roles.text_to_image.snapshot import Snapshot
from honed.session import Session, open_session
from honed.tuning.measure import compare_systems, measure
from honed.tuning.results import Finished, result, text
from honed.tuning.run import tune
from honed.workspace import Workspace, read_json
from tests.image_pack import workspace_of

COLOURS = {"warm": (230, 90, 40), "cold": (40, 90, 230), "pale": (170, 190, 170), "dark": (60, 60, 50)}
DENSITIES = {"rare": 0.2, "half": 0.5, "full": 0.8}
GROUPS, MUTE, SIDE = 72, 288, 32


def write_pack(folder: Path) -> Path:
    """Each group is a pattern of 4 x 4 fields, drawn in four colours; its title is a number. Of others nothing is said."""
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
    for number in range(MUTE):
        name = f"{1000 + number}"
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(folder / "images" / f"{name}.png")
        rows.append({"id": name, "path": f"images/{name}.png", "caption": "", "tags": []})
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "splits").mkdir()
    for split, names in splits.items():
        (folder / "splits" / f"{split}.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the pictures and an untuned release; tests work on copies."""
    return workspace_of(tmp_path_factory.mktemp("ws") / "ws", write_pack(tmp_path_factory.mktemp("pack"))).root


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Iterator[Session]:
    with open_session(Workspace(copied(prepared, tmp_path_factory.mktemp("tuned")))) as opened:
        yield opened


def copied(prepared: Path, folder: Path) -> Path:
    return Path(shutil.copytree(prepared, folder / "ws"))


def run(session: Session, **options: Any) -> Finished:
    finished = tune(session, TextToImage(), budget=120, **{"tell": lambda _: None, **options})
    assert finished is not None
    return finished


def snapshot_of(session: Session) -> Snapshot:
    return TextToImage().snapshot(session, "map", lambda _: None)


@pytest.fixture(scope="module")
def finished(session: Session) -> Finished:
    return run(session)


def test_only_a_plan_changes_nothing(prepared: Path, tmp_path: Path) -> None:
    plan: list[str] = []
    with open_session(Workspace(copied(prepared, tmp_path))) as opened:
        role = TextToImage()
        assert (
            tune(opened, role, budget=60, tell=lambda _: None, show_plan=lambda lines: bool(plan.extend(lines))) is None
        )
        assert not list(opened.workspace.runs.glob("*text-to-image*"))
    assert any("text-heads" in line for line in plan)


def test_what_is_learned_is_proven_and_live(finished: Finished, session: Session) -> None:
    assert finished.verdict.proven, finished.verdict.reasons
    assert finished.comparison.metric == "map"
    assert finished.comparison.primary.candidate > finished.comparison.primary.base + 0.01
    assert finished.snapshot.baseline.name.startswith("captions")
    manifest = live_manifest(session.workspace, session.catalog)
    assert (manifest.release, finished.release) == ("r2", "r2")
    part, image = manifest.parts[TEXT_TO_IMAGE], manifest.parts[IMAGE_RETRIEVER]
    assert part.values == finished.chosen.values
    assert part.fits(manifest.parts)
    assert not image.files, "the image side that it is for is told, and is untuned"
    head = ImageHead.read(finished.chosen.files["head"])
    assert image.key == ImageSpace(image.values["space"], head).key, "what pictures pass through stays"


@pytest.mark.parametrize(("weight", "leads"), [(0.5, 0), (0.5, 3), (1.0, 3)])
def test_live_search_ranks_as_the_board_does(finished: Finished, session: Session, weight: float, leads: int) -> None:
    live = open_image_release(session.workspace, session.catalog, session.settings)
    assert live.eye is not None
    assert {"weight": live.eye.weight, "leads": live.eye.leads} == finished.chosen.values
    live = replace(live, eye=replace(live.eye, weight=weight, leads=leads))
    assert live.eye is not None
    dense, head = live.eye.index.dense, live.eye.head
    questions = finished.evaluation.questions.ids[:8]
    captions = np.zeros((len(questions), len(dense)), np.float32)
    for row, question in zip(captions, questions, strict=True):
        rowids, scores = live._described(question, 1000, None)
        row[np.searchsorted(dense.rowids, rowids)] = scores
    board = TextBoard(questions, np.ones(captions.shape, bool), np.arange(len(questions)), captions)
    vectors = head.apply(images.descriptors(session.catalog, live.eye.encoder.space, dense.rowids)[1])
    texts = head.apply_text(live.text.embedder.encode_document(questions))
    fused = board.fused(board.seen(texts, vectors, leads=leads), weight)
    names = {record.id: at for at, record in enumerate(images.by_rowid(session.catalog, dense.rowids).values())}
    for row, question in zip(fused, questions, strict=True):
        hits = live.by_text(question, len(dense))
        assert len(hits) == len(dense)
        np.testing.assert_allclose([hit.score for hit in hits], np.sort(row)[::-1], atol=1e-5)
        np.testing.assert_allclose([hit.score for hit in hits], [row[names[hit.image.id]] for hit in hits], atol=1e-5)


@pytest.mark.parametrize("retrieval", [None, *PLAIN.values(), RetrievalSettings(fusion=FusionSettings("min-max"))])
def test_the_test_searches_the_captions_that_live_search_does(
    finished: Finished, session: Session, retrieval: RetrievalSettings | None
) -> None:
    """Titles and keywords, by the very index, under any settings."""
    live = open_image_release(session.workspace, session.catalog, session.settings)
    if retrieval:
        live = replace(live, text=live.text.under(retrieval))
    snapshot = snapshot_of(session)
    task, questions = snapshot.asking.gallery.task, finished.evaluation.questions.ids[:8]
    captions = captions_of(live.text, task.everything.rowids)
    assert captions.described.all(), "a picture that nothing is said of has the name of its file"
    queries = live.text.embedder.encode_query(questions)
    scores = search_live(live.text, live.text.reader.view(), captions, questions, queries)
    for row, question in zip(scores.under(live.text.retrieval.fusion), questions, strict=True):
        rowids, values = live._described(question, 1000, None)
        expected = np.zeros(len(task.everything), np.float32)
        expected[np.searchsorted(task.everything.rowids, rowids)] = values
        # The cosines of a batch differ from those of one query in the last bit, which turns the ranks of ties.
        np.testing.assert_allclose(row, expected, atol=1e-3 if live.text.retrieval == PLAIN["rrf"] else 1e-6)


def test_only_the_share_that_has_no_words_here_is_hidden_and_less_is_told_beside(
    finished: Finished, session: Session
) -> None:
    snapshot = snapshot_of(session)
    asked = snapshot.asking.under(snapshot.asking.questions("test", snapshot.queries["test"]))
    titled = asked.board.titled
    assert titled is not None
    assert 0.3 < titled[snapshot.asking.gallery.task.places("test")].mean() < 0.7, "half of the pictures have no words"
    assert list(finished.evaluation.extras["if_search_knew"]) == list(LESS)
    assert {f"if search knew {known}" for known in LESS} <= {part.name for part in finished.comparison.slices}


def test_live_search_finds_what_only_pixels_say(finished: Finished, session: Session) -> None:
    live = open_image_release(session.workspace, session.catalog, session.settings)
    assert live.eye is not None
    pure = replace(live, eye=replace(live.eye, weight=1.0, leads=0))  # live search knows the tags: look past them
    hits = pure.by_text("cold", 20)
    assert sum("_cold" in hit.image.external_id for hit in hits) >= 15


def test_leaves_a_report_with_grids_and_the_proof(finished: Finished, session: Session) -> None:
    page = (finished.run.folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") > 20
    assert "<script" not in page
    assert finished.comparison.queries[int(np.nanargmax(finished.comparison.deltas))] in page
    outcome = read_json(finished.run.folder / "result.json")
    assert outcome == json.loads(json.dumps(result(finished)))
    assert (outcome["role"], outcome["verdict"], outcome["release"]) == ("text-to-image", "proven", "r2")
    tested = {outcome["baseline"]["name"], *(system["name"] for system in outcome["baseline"]["others"])}
    assert tested == set(outcome["baseline"]["dev"])
    assert {f"captions ({name})" for name in PLAIN} <= tested
    assert "VERDICT: PROVEN -> release r2 is live." in text(session, finished)


def test_evaluate_and_compare_say_what_the_run_did(finished: Finished, session: Session) -> None:
    role, evaluation = TextToImage(), finished.evaluation
    captions = {system.name: system for system in (evaluation.base, *evaluation.others)}
    for system, tested in (("live", evaluation.candidate), ("r2", evaluation.candidate), ("r1", evaluation.base)):
        value = measure(session, role, system, "test")
        means = {name: round(float(np.nanmean(scores)), 4) for name, scores in tested.scores.items()}
        assert value["metrics"] == means
        assert (value["queries"], value["unit"]) == (len(evaluation.questions.ids), "questions")
    for name in PLAIN:
        values = measure(session, role, name, "test")["metrics"]
        assert values["map"] == round(float(np.nanmean(captions[f"captions ({name})"].scores["map"])), 4)
    comparison, _ = compare_systems(session, role, "r1", "live", "test")
    assert comparison.primary.delta == pytest.approx(finished.comparison.primary.delta)
    assert comparison.test_reads == finished.comparison.test_reads + 1
    with pytest.raises(UsageError, match="reads no words"):
        measure(session, role, "untuned", "test")
    with pytest.raises(UsageError, match="no split"):
        measure(session, role, "live", "final")


def test_exported_rankings_are_those_that_were_measured(finished: Finished, session: Session) -> None:
    role, snapshot = TextToImage(), snapshot_of(session)
    rankings = role.rankings(session, "live", "test", 5)
    assert list(rankings) == list(finished.evaluation.questions.ids)
    ids, queries = snapshot.asking.gallery.task.everything.ids, snapshot.queries["test"]
    first = []
    for row, question in enumerate(queries.texts):
        right = {ids[place] for place in np.flatnonzero(queries.relevant[row]).tolist()}
        left_out = {ids[place] for place in np.flatnonzero(queries.left_out[row]).tolist()}
        hits = [name for name, _ in rankings[question]]
        assert not left_out & set(hits)
        first.append(float(hits[0] in right))
    assert np.mean(first) == pytest.approx(np.nanmean(finished.evaluation.candidate.scores["recall@1"]))
    with pytest.raises(UsageError, match="at least 1"):
        role.rankings(session, "live", "test", 0)


def test_a_second_run_counts_its_look_and_has_to_beat_the_live_release(finished: Finished, session: Session) -> None:
    again = run(session)
    assert again.comparison.test_reads >= 2
    assert again.evaluation.base.name == finished.release
    assert len(again.evaluation.others) == len(finished.snapshot.baseline.dev)
    assert again.snapshot.baseline.dev[finished.release] == pytest.approx(finished.chosen.mean, abs=1e-6)
    assert not again.verdict.proven
    assert live_manifest(session.workspace, session.catalog).release == finished.release


def test_a_new_image_head_makes_the_text_matrix_void_and_says_so(finished: Finished, session: Session) -> None:
    seen = tune(session, ImageRetriever(), budget=120, tell=lambda _: None)
    assert seen is not None
    assert seen.verdict.proven, seen.verdict.reasons
    assert TEXT_TO_IMAGE not in live_manifest(session.workspace, session.catalog).parts
    assert seen.notes == (CAPTIONS_ALONE,)
    assert CAPTIONS_ALONE in text(session, seen)
    assert CAPTIONS_ALONE in read_json(seen.run.folder / "result.json")["notes"]
    assert open_image_release(session.workspace, session.catalog, session.settings).eye is None
    assert snapshot_of(session).baseline.name.startswith("captions"), "captions alone again"


def test_a_run_that_was_killed_after_its_stage_goes_on(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import honed.roles.text_to_image.models as learning

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with open_session(Workspace(copied(prepared, tmp_path))) as opened, monkeypatch.context() as patch:
        patch.setattr(roles.TextToImage, "evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            run(opened)
    saved = next(opened.workspace.runs.glob("*text-to-image*")) / "text-heads.json"
    before = read_json(saved)
    told: list[str] = []
    with open_session(opened.workspace) as opened, monkeypatch.context() as patch:
        patch.setattr(learning, "tune_text", killed)  # what is finished is not trained again
        done = run(opened, tell=told.append)
    assert done.run.resumed
    assert f"going on with {done.run.id}" in told
    assert done.chosen.values == before["values"]
    assert done.comparison.test_reads == 1


def test_errors_say_what_is_missing(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_session(Workspace(copied(prepared, tmp_path))) as opened:
        task = systems.load_caption_task(opened.catalog, seed=13)
        with monkeypatch.context() as patch:
            patch.setattr(data, "LEAST_TEST", 10_000)
            with pytest.raises(UsageError, match="questions in words about the"):
                run(opened)
        bare = replace(task.everything, titles=("",) * len(task.everything))
        monkeypatch.setattr(systems, "load_caption_task", lambda *_, **__: replace(task, everything=bare))
        with pytest.raises(UsageError, match="No picture has a caption"):
            run(opened)


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
        done = run(opened)
        untuned = f"untuned transformers:{reading}"
        assert untuned in done.snapshot.baseline.dev, "what it finds untuned has to be beaten"
        matrix = ImageHead.read(done.chosen.files["head"]).text_matrix
        assert matrix is not None
        assert matrix.shape == (256 + 24, 24)
        assert done.verdict.proven, done.verdict.reasons
        live = open_image_release(opened.workspace, opened.catalog, opened.settings)
        hits = live.by_text("warm full", 12)
        assert sum("warm" in hit.image.external_id for hit in hits) > 6, "3 of 12 by chance"
        tested = {system.name: system for system in (done.evaluation.base, *done.evaluation.others)}[untuned]
        value = measure(opened, TextToImage(), "untuned", "test")
        assert value["metrics"]["map"] == round(float(np.nanmean(tested.scores["map"])), 4)
