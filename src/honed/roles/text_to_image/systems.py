"""What finds pictures by words: a release, captions alone, a CLIP that nobody tuned; and any of them on any split."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from honed.answer.settings import RetrievalSettings
from honed.dataset.image_questions import TextQueries, half_hidden, text_queries
from honed.dataset.images import ImageTask, load_caption_task
from honed.errors import UsageError
from honed.evaluate.ledger import TestSet
from honed.evaluate.untuned import PLAIN, plain_system
from honed.ingest.describe import describe_missing
from honed.models.vision.head import ImageHead
from honed.models.vision.words import own_matrix
from honed.release.build import manifest_of, part_of, row_of
from honed.release.manifest import TEXT_TO_IMAGE, Manifest
from honed.release.open import embedder_of, image_encoder_of, image_head_of
from honed.roles.text_to_image.asking import Asked, Asking, open_asking
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.role import Measurement, Rankings, checked_split
from honed.types import SPLITS, Split

HEAD = "head"
"""File of a candidate: what pictures pass through, with the text matrix."""

UNTUNED = "untuned"
"""The image encoder's own text tower, where it has one."""


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """A way to find pictures by words.

    Attributes:
        retrieval: How captions are searched.
        head: With a text matrix; None where captions alone find pictures.
        weight: Of what is seen against captions.
        leads: Captions that lead a question.
    """

    name: str
    retrieval: RetrievalSettings
    head: ImageHead | None = None
    weight: float = 0.0
    leads: int = 0

    def scores(self, asked: Asked) -> NDArray[np.float32]:
        """Score of every picture for every question [q, n], as live search scores them; -inf for what it does not find."""
        board = asked.under(self.retrieval)
        if self.head is None:
            return board.written()
        vectors = self.head.apply(asked.descriptors)
        return board.fused(board.seen(self.head.apply_text(asked.texts), vectors, leads=self.leads), self.weight)

    @property
    def digest(self) -> str:
        """Of all that its rankings depend on besides the models."""
        text = b"" if self.head is None or self.head.text_matrix is None else self.head.text_matrix.tobytes()
        seen = f"{self.head.key if self.head else ''} {hashlib.sha256(text).hexdigest()} {self.weight} {self.leads}"
        return f"{self.retrieval.as_dict()} {seen}"


def release_system(session: Session, asking: Asking, manifest: Manifest) -> System:
    """What a release finds pictures by words with."""
    part = part_of(session.workspace, manifest, TEXT_TO_IMAGE)
    if TEXT_TO_IMAGE not in manifest.parts or not part.fits(manifest.parts):
        return System(manifest.release, manifest.retrieval)
    head = image_head_of(session.workspace, manifest, asking.encoder)
    return System(manifest.release, manifest.retrieval, head, part.values["weight"], part.values["leads"])


def tuned_system(live: RetrievalSettings, candidate: Candidate) -> System:
    """What a candidate would ship: captions are searched as they are now."""
    head, values = ImageHead.read(candidate.files[HEAD]), candidate.values
    return System(f"tuned ({candidate.name})", live, head, values["weight"], values["leads"])


def untuned_system(session: Session, asking: Asking, manifest: Manifest) -> System | None:
    """What a CLIP finds before anybody tunes it; None where the encoder reads no words."""
    head = image_head_of(session.workspace, manifest, asking.encoder)
    own = own_matrix(asking.retriever.embedder, asking.encoder, head)
    if own is None:
        return None
    name = f"untuned {session.settings.image_encoder}"
    return System(name, manifest.retrieval, ImageHead(head.centre, head.matrix, own), 1.0)


def caption_systems(live: RetrievalSettings) -> tuple[System, ...]:
    """Captions alone: as live text is searched, where nobody else does it so, then the plain systems."""
    plain = tuple(System(f"captions ({name})", retrieval) for name, retrieval in PLAIN.items())
    return plain if live in PLAIN.values() else (System("captions (as live text)", live), *plain)


def load_questions(
    session: Session, *, least: int, splits: tuple[Split, ...]
) -> tuple[ImageTask, dict[Split, TextQueries]]:
    """The pictures of which something is said, and the questions of each split.

    Args:
        session: Open workspace.
        least: Questions that each of `splits` must have.
        splits: That are needed.

    Raises:
        UsageError: Nothing is said of the pictures, or there are too few questions.
    """
    seed = session.settings.seed
    task = load_caption_task(session.catalog, seed=seed)
    if not any(title.strip() for title in task.everything.titles):
        raise UsageError(
            "No picture has a caption, so words have nothing to learn from.",
            hint="honed import DIR, where items.jsonl gives pictures a caption and tags",
        )
    queries = {split: text_queries(task.everything, task.places(split), seed=seed) for split in SPLITS}
    for split in splits:
        if len(queries[split].texts) < least:
            raise UsageError(
                f"There are {len(queries[split].texts)} questions in words about the {len(task.splits[split])} pictures with "
                f"words in {split}; {least} are needed.",
                hint="questions are made of tags that a caption lacks: honed import DIR, where items.jsonl has tags",
            )
    return task, queries


def test_set(asking: Asking, split: Split, queries: Mapping[Split, TextQueries], *, fresh_only: bool) -> TestSet:
    """The questions of a split as the ledger knows them.

    Older ledgers know the set by the titles that its test hid, too.
    """
    task, asked = asking.gallery.task, queries[split]
    ids, right = task.splits[split].ids, asked.relevant[:, task.places(split)].tobytes()
    bare = half_hidden(task.splits[split], seed=asking.seed).tolist()
    names = ((asked.texts, ids), (asked.texts, ids, bare))
    return TestSet(
        TEXT_TO_IMAGE,
        asking.metric,
        asked.texts,
        asked.clusters,
        tuple(hashlib.sha256(repr(name).encode() + right).hexdigest() for name in names),
        fresh_only=fresh_only,
    )


def measured(session: Session, system: str, split: str, metric: str) -> Measurement:
    """Every metric of a system for every question of a split.

    Args:
        session: Open workspace.
        system: "live" or a release; captions alone by "bm25", "dense", "fusion", "rrf", "default"; "untuned" for the words
            of a CLIP. What is no release has the live one's models.
        split: Whose pictures are asked for.
        metric: The one that decides.

    Raises:
        UsageError: There is no such system or split, or no question in it.
    """
    opened = _Opened.of(session, system, split, metric)
    board = opened.asked.board
    return Measurement(
        system=system,
        release=opened.manifest.release,
        digest=f"{opened.manifest.space} {opened.asking.encoder.space} {opened.system.digest}",
        scores=board.scores(opened.system.scores(opened.asked)),
        questions=board.questions(),
        test=test_set(opened.asking, opened.split, opened.queries, fresh_only=session.settings.test == "fresh"),
        unit="questions",
        labels="keywords",
    )


def rankings(session: Session, system: str, split: str, depth: int) -> Rankings:
    """The pictures that every question of a split finds, best first: what `measured` measures.

    Raises:
        UsageError: As `measured`, or depth is not positive.
    """
    if depth < 1:
        raise UsageError(f"k must be at least 1, not {depth}.")
    opened = _Opened.of(session, system, split, "map")
    ids = opened.asking.gallery.task.everything.ids
    result = {}
    for question, scores in zip(opened.asked.board.ids, opened.system.scores(opened.asked), strict=True):
        places = np.argsort(-scores, kind="stable")[:depth]
        result[question] = [
            (ids[place], float(scores[place])) for place in places.tolist() if np.isfinite(scores[place])
        ]
    return result


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A system with the questions of a split, asked as they ship."""

    manifest: Manifest
    asking: Asking
    system: System
    split: Split
    queries: Mapping[Split, TextQueries]
    asked: Asked

    @classmethod
    def of(cls, session: Session, system: str, split: str, metric: str) -> _Opened:
        name = checked_split(split)
        plain = plain_system(system)
        release = "live" if plain or system == UNTUNED else system
        manifest = manifest_of(session.workspace, row_of(session.catalog, release))
        task, queries = load_questions(session, least=1, splits=(name,))
        # A release that is not live lags behind, and would be measured by less: it catches up.
        session.catch_up(embedder_of(session.workspace, manifest, session.settings), tell=lambda _: None)
        encoder = image_encoder_of(session.workspace, manifest, session.settings)
        describe_missing(session.workspace, session.catalog, encoder)
        asking = open_asking(session, manifest, task, metric)
        chosen: System | None = release_system(session, asking, manifest)
        if plain:
            chosen = System(system, plain)
        elif system == UNTUNED:
            chosen = untuned_system(session, asking, manifest)
        if chosen is None:
            raise UsageError(
                f"The image encoder {session.settings.image_encoder} reads no words, so untuned it finds nothing by them.",
                hint="untuned systems are: bm25, dense, fusion, rrf, default",
            )
        asked = asking.under(asking.questions(name, queries[name]))
        return cls(manifest, asking, replace(chosen, name=system), name, queries, asked)
