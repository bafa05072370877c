"""One turn of the cycle for words that look for pictures: questions, baseline, the rung, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. Text, encoder and what pictures pass through stay as they
are in the live release: what ships is a text matrix, a weight against captions, and how many captions lead.

A question is made of keywords that a picture's title lacks, titles alone are searched, and half of them are hidden (see
`dataset.images`). That is how the test is made. Live search knows every title and every keyword.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from honed.catalog import history
from honed.catalog.moment import moment
from honed.dataset.images import (
    ImageTask,
    TextQueries,
    caption_pairs,
    load_caption_task,
    take,
    text_queries,
    title_queries,
)
from honed.errors import UsageError
from honed.evaluate.captions import search_captions
from honed.evaluate.image_board import TextBoard
from honed.evaluate.image_exam import TextExam, TextPaper, sit_text
from honed.evaluate.ledger import TestSet
from honed.evaluate.untuned import UNTUNED
from honed.imaging.ground import LEAST_TEST, experiment_of, gallery
from honed.imaging.summary import words_report, words_result
from honed.loop import ahead, close, judge, lineage_of, settle
from honed.models.runtime import cores
from honed.models.vision.head import ImageHead
from honed.models.vision.words import own_matrix, text_vectors
from honed.protocols import Embedder, ImageEncoder
from honed.release.build import HEAD_FILE, live_manifest
from honed.release.open import image_encoder_of, image_head_of
from honed.release.parts import ImageParts, Parts, parts_of
from honed.runs import look_at, open_run
from honed.session import Session
from honed.turn import Asked, Finished, Gallery, Sight, Tell, WordsGround, WordsTurn, meanwhile, one_at_a_time
from honed.types import SPLITS, Split

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.tune.images.bench import ImageRecipe
    from honed.tune.images.text import TextCandidate
    from honed.tune.images.text_plan import TextPlan

_PROBED = 64


def survey_words(session: Session, tell: Tell) -> WordsGround:
    """Read captions and descriptors, and choose the baseline on dev: captions alone, or what is live.

    The writer lock is held meanwhile.

    Raises:
        UsageError: Nothing is said of the pictures, or there are too few questions to measure with.
        MissingError: The image encoder is not installed.
        BusyError: Another process is changing the workspace.
    """
    with session.workspace.writing():
        return _surveyed(session, tell)


def _surveyed(session: Session, tell: Tell) -> WordsGround:
    settle(session, tell)
    task, queries = _questions(session)
    manifest = live_manifest(session.workspace, session.catalog)
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    head = image_head_of(session.workspace, manifest, encoder)
    galleries = {split: gallery(session, encoder, pictures) for split, pictures in task.splits.items()}
    embedder = session.live_embedder()
    reader = _Reader(embedder, encoder, manifest.weight)
    dev = _ask(session, reader, galleries["dev"], queries["dev"])
    titles = _ask_titles(session, reader, galleries["dev"], queries["dev"])
    sights = [Sight(f"captions ({name})", weight) for name, weight in _untuned(manifest.weight).items()]
    own = own_matrix(embedder, encoder, head)
    if own is not None:  # what a CLIP finds before anybody tunes it is to be beaten, too
        blind = ImageHead(head.centre, head.matrix, own)
        sights.append(Sight(f"untuned {session.settings.image_encoder}", manifest.weight, blind, 1.0))
    side = manifest.images
    if side and side.finds_by_words and side.text_space == manifest.space:  # first, so that it wins a tie
        sights.insert(0, Sight(manifest.release, manifest.weight, head, side.weight, side.leads))
    means = {one.name: _mean(dev, one) for one in sights}
    best = max(sights, key=lambda one: means[one.name])
    rest = tuple(one for one in sights if one is not best)
    return WordsGround(
        galleries,
        queries,
        encoder,
        head,
        embedder,
        manifest.weight,
        dev,
        titles,
        best,
        rest,
        means,
        moment(session.catalog),
        task.notes,
    )


def _questions(session: Session) -> tuple[ImageTask, dict[Split, TextQueries]]:
    """The pictures with what is said of them, and the questions of each split."""
    task = load_caption_task(session.catalog, seed=session.settings.seed)
    take(session.catalog, task)
    if not any(title.strip() for pictures in task.splits.values() for title in pictures.titles):
        raise UsageError(
            "No picture has a caption, so words have nothing to learn from.",
            hint="honed import DIR, where items.jsonl gives pictures a caption and tags",
        )
    queries = {split: text_queries(pictures, seed=session.settings.seed) for split, pictures in task.splits.items()}
    for split in ("dev", "test"):
        if len(queries[split].texts) < LEAST_TEST:
            raise UsageError(
                f"There are {len(queries[split].texts)} questions in words about pictures in {split}; "
                f"{LEAST_TEST} are needed.",
                hint="questions are made of tags that a caption lacks: honed import DIR, where items.jsonl has tags",
            )
    return task, queries


def _untuned(live: float) -> dict[str, float]:
    """Name -> weight of the vector side in a search of captions; hybrid is at the weight of the live release."""
    return {**UNTUNED, "hybrid": live}


@dataclass(frozen=True, slots=True)
class _Reader:
    """What reads texts in the live release: its embedder, its image encoder if that reads too, the weight of its vector side."""

    embedder: Embedder
    encoder: ImageEncoder
    weight: float


def _ask(session: Session, reader: _Reader, shown: Gallery, queries: TextQueries) -> Asked:
    """The questions of a split with what captions say to them, and as vectors that the text matrix takes."""
    embedder, weight = reader.embedder, reader.weight
    titles = ["" if bare else title for title, bare in zip(shown.pictures.titles, queries.bare, strict=True)]
    captions = search_captions(embedder, titles, queries.texts, language=session.index_settings.language)
    board = TextBoard(
        queries.texts,
        queries.relevant,
        queries.clusters,
        captions.under(weight),
        captions.titled,
        session.settings.metric_text_to_image,
    )
    return Asked(board, captions, text_vectors(embedder, reader.encoder, queries.texts), shown.descriptors)


def _ask_titles(session: Session, reader: _Reader, shown: Gallery, queries: TextQueries) -> Asked:
    """The same for questions that are a title which search knows."""
    return _ask(session, reader, shown, title_queries(shown.pictures, queries.bare, seed=session.settings.seed))


def found_by(asked: Asked, sight: Sight) -> NDArray[np.float32]:
    """Score of every picture for every question [q, n], as live search scores them; -inf for what captions do not find."""
    board = replace(asked.board, captions=asked.captions.under(sight.captions))
    if sight.head is None:
        return board.written()
    vectors = sight.head.apply(asked.descriptors)
    seen = board.seen(sight.head.apply_text(asked.questions), vectors, leads=sight.leads)
    return board.fused(seen, sight.weight)


def _mean(asked: Asked, sight: Sight) -> float:
    return float(np.nanmean(sit_text(asked.board, sight.name, found_by(asked, sight)).scores[asked.board.metric]))


@one_at_a_time
def tune_words(
    session: Session,
    *,
    budget: float,
    tell: Tell,
    show_plan: Callable[[list[str]], bool] = lambda _: True,
    recipe: ImageRecipe | None = None,
) -> WordsTurn | None:
    """One turn of the cycle for words that look for pictures; arguments and result are those of `loop.tune`.

    Raises:
        UsageError: There is nothing to learn from or to measure with.
    """
    from honed.tune.images.text_plan import text_table
    from honed.tune.kept import kept_plan

    started = time.monotonic()
    ground = survey_words(session, tell)
    tell(ahead(session, _test_set(session, ground), "tune-words"))
    tell(f"baseline     dev {ground.dev[ground.sight.name]:.3f}  {ground.sight.name}")
    lesson = _Lesson.of(session, ground, recipe)
    plan = lesson.plan(budget, started)
    if not show_plan(text_table(plan)):
        return None
    experiment = _experiment(session, ground, lesson.recipe, budget)
    run = open_run(session.workspace, session.catalog, "tune-words", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    plan = kept_plan(run.folder, plan)
    chosen = lesson.candidate(run.folder, plan, tell)
    history.check_live(session.catalog, ground.start.live)  # before a look at the test is spent
    exam = _sealed_test(session, ground, chosen, looking=(run.id, experiment))
    judged = judge(session, exam, chosen.tried)
    seconds, notes = time.monotonic() - started, meanwhile(session.catalog, ground.start)
    turn = Finished(run, ground, (chosen,), chosen, exam, *judged, seconds, budget, notes)
    close(
        session,
        turn,
        tell=tell,
        outcome=words_result(turn),
        report=words_report(session, turn),
        parts=lambda: _parts(session, turn),
    )
    return turn


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """What is learned from: texts about train pictures, and the picture [p] of each."""

    ground: WordsGround
    recipe: ImageRecipe
    texts: list[str]
    pictures: NDArray[np.int64]

    @classmethod
    def of(cls, session: Session, ground: WordsGround, recipe: ImageRecipe | None) -> _Lesson:
        from honed.tune.images.bench import ImageRecipe

        threads = cores(session.settings.threads)
        recipe = replace(recipe or ImageRecipe(), seed=session.settings.seed, threads=threads)
        texts, pictures = caption_pairs(ground.galleries["train"].pictures, seed=recipe.seed)
        if not texts:
            raise UsageError(
                "No train picture has a caption.", hint="captions come from file names, alt text, or a pack"
            )
        return cls(ground, recipe, texts, pictures)

    def plan(self, budget: float, started: float) -> TextPlan:
        """Measure the text tower on a few of the texts and fit the others into the budget."""
        from honed.tune.images.text_plan import plan_text

        different = list(dict.fromkeys(self.texts))
        sample = different[:: max(1, len(different) // _PROBED)][:_PROBED]
        begun = time.monotonic()
        self._vectors(sample)
        rate = len(sample) / max(time.monotonic() - begun, 1e-6)
        return plan_text(budget, time.monotonic() - started, rate, len(different))

    def candidate(self, folder: Path, plan: TextPlan, tell: Tell) -> TextCandidate:
        """The rung's candidate: that of a run which was killed after it, or a new one."""
        from honed.tune.images.text import TextBench, TextCandidate, tune_text

        done = TextCandidate.load(folder)
        if done is None:
            tell(f"{'text-heads':<12} started, at most {plan.encode + plan.train:.0f} s")
            texts, pictures = self._encoded(plan)
            dev = self.ground.asked
            bench = TextBench(
                head=self.ground.head,
                train=self.ground.galleries["train"].descriptors,
                texts=texts,
                pictures=pictures,
                dev=dev.descriptors,
                questions=dev.questions,
                board=dev.board,
                folder=folder,
                recipe=self.recipe,
                tell=tell,
                titles=(self.ground.titles.board, self.ground.titles.questions),
                prior=own_matrix(self.ground.embedder, self.ground.encoder, self.ground.head),
            )
            done = tune_text(bench, plan.train)
            done.save(folder)
            for file in folder.glob("checkpoint-*"):
                file.unlink(missing_ok=True)
        tell(f"{'text-heads':<12} dev {done.mean:.3f}  {done.what}")
        return done

    def _vectors(self, texts: list[str]) -> NDArray[np.float32]:
        return text_vectors(self.ground.embedder, self.ground.encoder, texts)

    def _encoded(self, plan: TextPlan) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Vectors of the texts that the plan has time for, evenly drawn, each text encoded once."""
        different = list(dict.fromkeys(self.texts))
        kept = {different[row] for row in np.linspace(0, len(different) - 1, plan.texts).astype(int).tolist()}
        chosen = [row for row, text in enumerate(self.texts) if text in kept]
        known = {text: place for place, text in enumerate(dict.fromkeys(self.texts[row] for row in chosen))}
        vectors = self._vectors(list(known))
        return vectors[[known[self.texts[row]] for row in chosen]], self.pictures[chosen]


def _experiment(session: Session, ground: WordsGround, recipe: ImageRecipe, budget: float) -> dict[str, Any]:
    """What a run depends on: pictures and recipe as for every turn on pictures, what is said of them, and the release."""
    said = [(shown.pictures.titles, shown.pictures.keywords) for shown in (ground.galleries[one] for one in SPLITS)]
    manifest = live_manifest(session.workspace, session.catalog)
    return experiment_of(session, ground, recipe, budget) | {
        "text": ground.embedder.space,
        "words": hashlib.sha256(repr((said, sorted(manifest.files.items()))).encode()).hexdigest(),
        "fusion": ground.weight,
    }


def _sealed_test(
    session: Session, ground: WordsGround, chosen: TextCandidate, *, looking: tuple[str, dict[str, Any]]
) -> TextExam:
    """Let baseline and candidate sit the test, once; the look is counted before anybody sees a result."""
    tuned = Sight(f"tuned ({chosen.name})", ground.weight, chosen.head, chosen.weight, chosen.leads)
    reader = _Reader(ground.embedder, ground.encoder, ground.weight)
    shown, queries = ground.galleries["test"], ground.queries["test"]

    def papers(asked: Asked, others: Sequence[Sight] = ()) -> list[TextPaper]:
        return [sit_text(asked.board, one.name, found_by(asked, one)) for one in (ground.sight, tuned, *others)]

    titles, asked = _ask_titles(session, reader, shown, queries), _ask(session, reader, shown, queries)
    title_papers, asked_papers = papers(titles), papers(asked, ground.others)
    looks = look_at(session.catalog, _test_set(session, ground), *looking)
    base, candidate, *rest = (replace(paper, scores=looks.scores(paper.scores)) for paper in asked_papers)
    return TextExam(
        asked.board,
        base,
        candidate,
        looks,
        tuple(rest),
        TextExam(titles.board, title_papers[0], title_papers[1], replace(looks, fresh_only=False)),
    )


def _test_set(session: Session, ground: WordsGround) -> TestSet:
    queries, settings = ground.queries["test"], session.settings
    return TestSet(
        "text-to-image",
        settings.metric_text_to_image,
        queries.texts,
        queries.clusters,
        (_fingerprint(queries, ground),),
        fresh_only=settings.test == "fresh",
    )


def _fingerprint(queries: TextQueries, ground: WordsGround) -> str:
    """Of the test questions, the pictures, and which of these are right."""
    named = repr((queries.texts, ground.galleries["test"].pictures.ids, queries.bare.tolist()))
    return hashlib.sha256(named.encode() + queries.relevant.tobytes()).hexdigest()


def _parts(session: Session, turn: WordsTurn) -> Parts:
    """What the proven candidate's release consists of: text, encoder and head as they are, and what words add."""
    live = live_manifest(session.workspace, session.catalog)
    head = turn.run.folder / f"new-{HEAD_FILE}"
    turn.chosen.head.write(head)
    parts = parts_of(
        session.workspace,
        live,
        what=f"text to image: {turn.chosen.what}",
        lineage=lineage_of(turn.run, turn.comparison, live.release),
    )
    space = turn.ground.encoder.space
    side = parts.images or ImageParts(session.settings.image_encoder, space)
    seen = replace(side, space=space, head=head, text_space=live.space)
    return replace(parts, images=replace(seen, weight=turn.chosen.weight, leads=turn.chosen.leads))
