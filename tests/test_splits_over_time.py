"""Import, tune, import more, tune again: nothing that a release learned from is ever tested.

What comes later has ids that sort earlier, repeats older texts and pictures, and links older clusters with one another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from honed.catalog import judgements
from honed.dataset.images import Pictures
from honed.dataset.task import Task
from honed.errors import UsageError
from honed.formats import read_beir, read_pack
from honed.ingest.importing import import_beir
from honed.ingest.importing_images import import_pack
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake
from honed.roles.image_retriever.role import ImageRetriever
from honed.roles.text_to_image.role import TextToImage
from honed.session import Session, open_session
from honed.settle import settle
from honed.types import SPLITS, Split
from honed.workspace import create
from tests import toy
from tests.runs import finished, snapshot_of

LINKS = 8


def quiet(_: str) -> None:
    pass


# -- questions ---------------------------------------------------------------------------------------------------------


def write(folder: Path, documents: dict[str, tuple[str, str]], questions: dict[str, tuple[str, str]]) -> Path:
    """A BEIR folder with test.tsv alone: id -> (title, text), and id -> (question, document)."""
    (folder / "qrels").mkdir(parents=True)
    rows = [{"id": name, "title": title, "text": text} for name, (title, text) in documents.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"id": name, "text": text} for name, (text, _) in questions.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    lines = "".join(f"{name}\t{document}\t1\n" for name, (_, document) in questions.items())
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def write_first(folder: Path) -> Path:
    """The toy domain, two questions for each document."""
    documents = {f"d{at}": ("", toy.document(pair)) for at, pair in enumerate(toy.PAIRS)}
    questions = {
        f"q{at}-{int(turned)}": (toy.question(pair, turned), f"d{at}")
        for at, pair in enumerate(toy.PAIRS)
        for turned in (False, True)
    }
    return write(folder, documents, questions)


def write_more(folder: Path) -> Path:
    """All texts again under ids that sort earlier, with a question more each; some by a title in pairs, which links them."""
    titles = {at: f"linked {at // 2}" for at in range(2 * LINKS)}
    documents = {f"a{at}": (titles.get(at, ""), toy.document(pair)) for at, pair in enumerate(toy.PAIRS)}
    questions = {f"a{at}": (" and ".join(toy.question(pair).split()), f"a{at}") for at, pair in enumerate(toy.PAIRS)}
    questions |= {f"b{at}": (toy.question(pair).upper(), f"a{at}") for at, pair in enumerate(toy.PAIRS)}
    return write(folder, documents, questions)


def bring(session: Session, folder: Path) -> tuple[str, ...]:
    beir = read_beir(folder)
    import_beir(session.catalog, beir, passage_words=160)
    return settle(session, quiet, given={query.id: query.split for query in beir.queries})


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    model = toy.model(tmp_path / "model")
    workspace = create(tmp_path / "ws", f'embedder = "folder:{model}"\nthreads = 1\n')
    with open_session(workspace, create=True) as opened:
        yield opened


def texts(task: Task, *splits: Split) -> set[str]:
    return {" ".join(query.text.casefold().split()) for split in splits for query in task.splits[split].queries}


def stored(session: Session) -> dict[str, str]:
    """The split of every question, as the catalog has it: a turn may lend some of train to dev."""
    return {query.id: query.split for query, _ in judgements.by_origin(session.catalog, ("import",))}


def check_questions(first: Task, second: Task) -> None:
    """What is tested grows, and nothing of train, nor of its documents' clusters, is held out."""
    tests = [{query.id for query in task.splits["test"].queries} for task in (first, second)]
    assert tests[0] < tests[1]
    learned = texts(first, "train") | texts(second, "train")
    assert len(learned) > 20
    assert not learned & (texts(first, "test") | texts(second, "test"))
    held_out = {
        int(second.document_clusters[document])
        for split in ("dev", "test")
        for relevant in second.splits[split].relevant
        for document in relevant
    }
    for relevant in second.splits["train"].relevant:
        assert not held_out & {int(second.document_clusters[document]) for document in relevant}


def test_no_question_that_was_learned_from_is_tested_after_more_came(session: Session, tmp_path: Path) -> None:
    bring(session, write_first(tmp_path / "first"))
    first, before = snapshot_of(session).task, stored(session)
    notes = bring(session, write_more(tmp_path / "more"))
    assert any("more than one split" in note for note in notes), "titles have linked old clusters of different splits"
    later = snapshot_of(session)
    check_questions(first, later.task)
    assert sum("more than one split" in note for note in later.notes) == 1
    after = stored(session)
    assert before.items() < after.items()
    for folder in ("first", "more", "first"):
        bring(session, tmp_path / folder)
        assert stored(session) == after, "importing a folder again changes nothing"


@pytest.mark.slow
def test_no_question_that_a_release_learned_from_is_tested_after_more_came(session: Session, tmp_path: Path) -> None:
    """The same with real training: what the first run made live is where the second begins."""
    pytest.importorskip("torch", reason="a run trains: pip install 'honed[tune]'")
    from honed.roles.retriever.recipe import Recipe

    recipe = Recipe(batch=8, both_batch=8, query_rate=1e-2, query_epochs=40, both_epochs=2, adapter_epochs=10)
    runs = []
    for folder in (toy.write_beir(tmp_path / "first"), write_more(tmp_path / "more")):
        bring(session, folder)
        runs.append(finished(session, recipe=recipe))
    first, second = runs
    assert first.release == "r2", "the toy domain is learned"
    assert any(candidate.name == "query-tower" for candidate in second.candidates)
    check_questions(first.snapshot.task, second.snapshot.task)
    learned = {query.id for run in runs for query in run.snapshot.task.splits["train"].queries}
    for run in runs:
        tested = set(run.evaluation.questions.ids)
        assert tested == {query.id for query in run.snapshot.task.splits["test"].queries}
        assert not learned & tested


def test_labels_that_leave_test_empty_are_said_to_do_so(session: Session, tmp_path: Path) -> None:
    """All questions are about one document, so about one cluster: it is train, and titles must not stand in silently."""
    documents = {f"d{at}": (f"guide number {at}", toy.document(pair)) for at, pair in enumerate(toy.PAIRS)}
    bring(session, write(tmp_path / "one", documents, {f"q{at}": (f"what is {at}", "d0") for at in range(30)}))
    with pytest.raises(UsageError, match="The labels leave 0 questions in dev; 10 are needed") as raised:
        snapshot_of(session)
    assert "30 in train, 0 in dev, 0 in test, in 1 clusters" in raised.value.message
    assert "other, documents" in raised.value.hint


# -- pictures ----------------------------------------------------------------------------------------------------------


def pattern(number: int) -> Image.Image:
    """A picture unlike all others."""
    fields = np.random.default_rng(number).integers(0, 2, (4, 4)) * 180 + 40
    return Image.fromarray(np.kron(fields, np.ones((8, 8))).astype(np.uint8))


def write_pictures(folder: Path, rows: list[tuple[str, int, str, str]]) -> Path:
    """An image pack: (id, number of the pattern, caption, group)."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for name, number, caption, group in rows:
        pattern(number).save(folder / "images" / f"{name}.png")
        tags = [f"tag{number}", f"kind{number % 7}"]
        row = {"id": name, "path": f"images/{name}.png", "caption": caption, "tags": tags}
        lines.append(json.dumps({**row, "group": group} if group else row) + "\n")
    (folder / "items.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Session]:
    settings = 'embedder = "hash:256"\ngenerator = "extractive"\nimage_encoder = "thumbnail:8"\nthreads = 1\n'
    workspace = create(tmp_path / "gallery", settings)
    with open_session(workspace, create=True) as opened:
        yield opened


def show(session: Session, pack: Path) -> None:
    with Sandbox(ocr=False) as sandbox:
        import_pack(Intake(session.workspace, session.catalog, sandbox, 160), read_pack(pack))
    settle(session, quiet)


def check_pictures(first: Mapping[Split, Pictures], second: Mapping[Split, Pictures]) -> None:
    before, after = ({name: split for split in SPLITS for name in parts[split].ids} for parts in (first, second))
    assert {name: split for name, split in after.items() if name in before}.items() <= before.items()
    assert {name for name, split in before.items() if split != "train"} <= after.keys()
    assert len(after) > len(before)
    groups = {split: set(parts.groups.tolist()) for split, parts in second.items()}
    assert not groups["train"] & (groups["dev"] | groups["test"])


def test_no_captioned_picture_that_was_learned_from_is_tested_after_more_came(gallery: Session, tmp_path: Path) -> None:
    """Copies under ids that sort earlier, and captions that link old clusters."""
    show(gallery, write_pictures(tmp_path / "first", [(f"m{at}", at, f"thing {at}", "") for at in range(150)]))
    first = TextToImage().snapshot(gallery, "map", quiet)
    copies = [(f"a{at}", at, f"thing {(at + 1) % 150 if at < 6 else at}", "") for at in range(60)]
    new = [(f"b{at}", 200 + at, f"new {at}", "") for at in range(60)]
    show(gallery, write_pictures(tmp_path / "more", copies + new))
    second = TextToImage().snapshot(gallery, "map", quiet)
    check_pictures(first.asking.gallery.task.splits, second.asking.gallery.task.splits)


def test_no_grouped_picture_that_was_learned_from_is_tested_after_more_came(gallery: Session, tmp_path: Path) -> None:
    """A pack that was drawn without lists of splits, then one with the same pictures in other groups."""
    rows = [(f"m{at}", at, f"thing {at}", f"group {at // 3}") for at in range(300)]
    show(gallery, write_pictures(tmp_path / "first", rows))
    first = ImageRetriever().snapshot(gallery, "recall@1", quiet)
    moved = [(f"m{at}", at, f"thing {at}", f"group {(at // 3 + 1) % 100 if at < 30 else at // 3}") for at in range(300)]
    new = [(f"a{at}", 300 + at, f"new {at}", f"group {at // 2}") for at in range(160)]
    show(gallery, write_pictures(tmp_path / "more", new))
    show(gallery, write_pictures(tmp_path / "first", moved))
    second = ImageRetriever().snapshot(gallery, "recall@1", quiet)
    check_pictures(first.gallery.task.splits, second.gallery.task.splits)
    assert any("more than one split" in note for note in second.notes)
