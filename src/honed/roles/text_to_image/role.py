"""One turn of the cycle for words that look for pictures: questions, baseline, the rung, sealed test, gate, release, report.

The same words, gate and release as `loop.tune`; read that one first. Text, encoder and what pictures pass through stay as they
are in the live release: what ships is a text matrix, a weight against captions, and how many captions lead.

A question is made of keywords that a picture's title lacks, and is put to live search as it is: with all titles and keywords
(see `dataset.image_questions`). Dev picks, and the verdict is passed, under what ships; what search would find if it knew less is
told beside it.
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

from honed.dataset.image_questions import TextQueries, caption_pairs, half_hidden, text_queries
from honed.dataset.images import ImageTask, load_caption_task
from honed.errors import UsageError
from honed.evaluate.image_board import TEXT_METRIC
from honed.evaluate.untuned import UNTUNED
from honed.models.runtime import cores
from honed.models.vision.head import ImageHead
from honed.models.vision.words import own_matrix, text_vectors
from honed.release.build import HEAD_FILE, live_manifest
from honed.release.open import image_encoder_of, image_head_of, open_release
from honed.release.parts import ImageParts, Parts, parts_of
from honed.roles.image_retriever.evaluation import TextExam, sit_text
from honed.roles.image_retriever.presentation import words_report, words_result
from honed.roles.image_retriever.snapshot import LEAST_TEST, experiment_of, gallery
from honed.roles.retriever.loop import close, judge, lineage_of, settle
from honed.roles.text_to_image.asking import LESS, Asking, captions_of
from honed.runs import look_at, open_run
from honed.session import Session
from honed.tuning.nouns import Asked, Finished, Sight, Tell, WordsGround, WordsTurn
from honed.types import SPLITS, Split

if TYPE_CHECKING:  # torch is loaded by tuning alone
    from honed.roles.image_retriever.bench import ImageRecipe
    from honed.roles.text_to_image.plan import TextPlan
    from honed.roles.text_to_image.training import TextCandidate

_PROBED = 64


def survey_words(session: Session, tell: Tell) -> WordsGround:
    """Read captions and descriptors, and choose the baseline on dev: captions alone, or what is live.

    Raises:
        UsageError: Nothing is said of the pictures, or there are too few questions to measure with.
        MissingError: The image encoder is not installed.
    """
    settle(session, tell)
    task, queries = _questions(session)
    asking = _asking(session, task)
    encoder, manifest = asking.encoder, live_manifest(session.workspace, session.catalog)
    head = image_head_of(session.workspace, manifest, encoder)
    dev, titles = asking.under(asking.questions("dev", queries["dev"])), asking.under(asking.titles("dev"))
    sights = [Sight(f"captions ({name})", weight) for name, weight in _untuned(manifest.weight).items()]
    own = own_matrix(asking.retriever.embedder, encoder, head)
    if own is not None:  # what a CLIP finds before anybody tunes it is to be beaten, too
        blind = ImageHead(head.centre, head.matrix, own)
        sights.append(Sight(f"untuned {session.settings.image_encoder}", manifest.weight, blind, 1.0))
    side = manifest.images
    if side and side.finds_by_words and side.text_space == manifest.space:  # first, so that it wins a tie
        sights.insert(0, Sight(manifest.release, manifest.weight, head, side.weight, side.leads))
    means = {sight.name: _mean(dev, sight) for sight in sights}
    best = max(sights, key=lambda sight: means[sight.name])
    rest = tuple(sight for sight in sights if sight is not best)
    embedder = asking.retriever.embedder
    return WordsGround(
        asking.gallery, queries, encoder, head, embedder, manifest.weight, dev, titles, best, rest, means, task.notes
    )


def _questions(session: Session) -> tuple[ImageTask, dict[Split, TextQueries]]:
    """The pictures with what is said of them, and the questions of each split."""
    task, seed = load_caption_task(session.catalog, seed=session.settings.seed), session.settings.seed
    if not any(title.strip() for title in task.everything.titles):
        raise UsageError(
            "No picture has a caption, so words have nothing to learn from.",
            hint="honed import DIR, where items.jsonl gives pictures a caption and tags",
        )
    queries = {split: text_queries(task.everything, task.places(split), seed=seed) for split in SPLITS}
    for split in ("dev", "test"):
        if len(queries[split].texts) < LEAST_TEST:
            raise UsageError(
                f"There are {len(queries[split].texts)} questions in words about the {len(task.splits[split])} pictures with "
                f"words in {split}; {LEAST_TEST} are needed.",
                hint="questions are made of tags that a caption lacks: honed import DIR, where items.jsonl has tags",
            )
    return task, queries


def _asking(session: Session, task: ImageTask) -> Asking:
    """What is live, ready to be asked about the pictures."""
    manifest = live_manifest(session.workspace, session.catalog)
    encoder = image_encoder_of(session.workspace, manifest, session.settings)
    retriever = open_release(session.workspace, session.catalog, session.settings)
    captions, language = captions_of(retriever, task.everything.rowids), session.index_settings.language
    return Asking(retriever, encoder, gallery(session, encoder, task), captions, language, session.settings.seed)


def _untuned(live: float) -> dict[str, float]:
    """Name -> weight of the vector side in a search of captions; hybrid is at the weight of the live release."""
    return {**UNTUNED, "hybrid": live}


def found_by(asked: Asked, sight: Sight) -> NDArray[np.float32]:
    """Score of every picture for every question [q, n], as live search scores them; -inf for what captions do not find."""
    board = replace(asked.board, captions=asked.captions.under(sight.captions))
    if sight.head is None:
        return board.written()
    vectors = sight.head.apply(asked.descriptors)
    seen = board.seen(sight.head.apply_text(asked.questions), vectors, leads=sight.leads)
    return board.fused(seen, sight.weight)


def _mean(asked: Asked, sight: Sight) -> float:
    return float(np.nanmean(sit_text(asked.board, sight.name, found_by(asked, sight)).scores[TEXT_METRIC]))


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
    from honed.roles.text_to_image.plan import text_table

    started = time.monotonic()
    ground = survey_words(session, tell)
    tell(f"baseline     dev {ground.dev[ground.sight.name]:.3f}  {ground.sight.name}")
    lesson = _Lesson.of(session, ground, recipe)
    plan = lesson.plan(budget, started)
    if not show_plan(text_table(plan)):
        return None
    experiment = _experiment(session, ground, lesson.recipe, budget)
    run = open_run(session.workspace, session.catalog, "tune-words", experiment)
    if run.resumed:
        tell(f"going on with {run.id}")
    chosen = lesson.candidate(run.folder, plan, tell)
    exam = _sealed_test(session, ground, chosen, looking=(run.id, experiment))
    judged = judge(session, exam, chosen.tried)
    turn = Finished(run, ground, (chosen,), chosen, exam, *judged, time.monotonic() - started, budget)
    close(
        session,
        turn,
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
        from honed.roles.image_retriever.bench import ImageRecipe

        threads = cores(session.settings.threads)
        recipe = replace(recipe or ImageRecipe(), seed=session.settings.seed, threads=threads)
        texts, pictures = caption_pairs(ground.gallery.task.splits["train"], seed=recipe.seed)
        if not texts:
            raise UsageError(
                "No train picture has a caption.", hint="captions come from file names, alt text, or a pack"
            )
        return cls(ground, recipe, texts, pictures)

    def plan(self, budget: float, started: float) -> TextPlan:
        """Measure the text tower on a few of the texts and fit the others into the budget."""
        from honed.roles.text_to_image.plan import plan_text

        different = list(dict.fromkeys(self.texts))
        sample = different[:: max(1, len(different) // _PROBED)][:_PROBED]
        begun = time.monotonic()
        self._vectors(sample)
        rate = len(sample) / max(time.monotonic() - begun, 1e-6)
        return plan_text(budget, time.monotonic() - started, rate, len(different))

    def candidate(self, folder: Path, plan: TextPlan, tell: Tell) -> TextCandidate:
        """The rung's candidate: that of a run which was killed after it, or a new one."""
        from honed.roles.text_to_image.training import TextBench, TextCandidate, tune_text

        done = TextCandidate.load(folder)
        if done is None:
            tell(f"{'text-heads':<12} started, at most {plan.encode + plan.train:.0f} s")
            texts, pictures = self._encoded(plan)
            dev = self.ground.asked
            bench = TextBench(
                head=self.ground.head,
                train=self.ground.gallery.of("train"),
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
    said = [(pictures.titles, pictures.keywords) for pictures in ground.gallery.task.splits.values()]
    manifest = live_manifest(session.workspace, session.catalog)
    return experiment_of(session, ground, recipe, budget) | {
        "text": ground.embedder.space,
        "words": hashlib.sha256(repr((said, sorted(manifest.files.items()))).encode()).hexdigest(),
        "fusion": ground.weight,
    }


def _sealed_test(
    session: Session, ground: WordsGround, chosen: TextCandidate, *, looking: tuple[str, dict[str, Any]]
) -> TextExam:
    """Let baseline and candidate sit the test, once; the look is counted before it is taken."""
    asking = _asking(session, ground.gallery.task)
    reads = _look(session, ground, *looking)
    tuned = Sight(f"tuned ({chosen.name})", ground.weight, chosen.head, chosen.weight, chosen.leads)
    asked = asking.questions("test", ground.queries["test"])

    def exam(asked: Asked, others: Sequence[Sight] = ()) -> TextExam:
        entrants = (ground.sight, tuned, *others)
        base, candidate, *rest = (sit_text(asked.board, sight.name, found_by(asked, sight)) for sight in entrants)
        return TextExam(asked.board, base, candidate, reads, tuple(rest))

    return replace(
        exam(asking.under(asked), ground.others),
        titles=exam(asking.under(asking.titles("test"))),
        knowledge={knowledge: exam(asking.under(asked, knowledge)) for knowledge in LESS},
    )


def _look(session: Session, ground: WordsGround, run: str, experiment: dict[str, Any]) -> int:
    """Count a look at the test questions before it is taken; returns how many there have been.

    Older ledgers know a set by the titles that its test hid, too: both count, and the larger number is the truth.
    """
    task, queries = ground.gallery.task, ground.queries["test"]
    ids, right = task.splits["test"].ids, queries.relevant[:, task.places("test")].tobytes()
    bare = half_hidden(task.splits["test"], seed=session.settings.seed).tolist()
    names = ((queries.texts, ids), (queries.texts, ids, bare))
    return max(
        look_at(session.catalog, hashlib.sha256(repr(name).encode() + right).hexdigest(), run, experiment)
        for name in names
    )


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
