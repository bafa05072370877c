"""The data of a run on text: questions with what answers them, the live system, and the baseline that it has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from honed.answer.settings import RetrievalSettings
from honed.catalog import documents, judgements
from honed.dataset import prepare
from honed.dataset.task import Labelled, Task, check_enough, has_labels, load_task
from honed.dataset.widen import widen_dev
from honed.evaluate.board import Board
from honed.evaluate.ledger import TestSet
from honed.evaluate.untuned import PLAIN, questions, strongest, system_means
from honed.index.generation import Generation
from honed.protocols import Embedder
from honed.release.build import live_manifest
from honed.release.manifest import RETRIEVER, Manifest
from honed.session import Session
from honed.tuning.role import Baseline, DataCard, Progress, each_split
from honed.types import Passage, Split, Vectors

LEAST_TEST = 10
"""Questions of a split below which no verdict is attempted."""


@dataclass(frozen=True)
class Snapshot:
    """Where a run starts from.

    Attributes:
        pool: Candidates that each side of the search hands to the fusion.
        test: The held-out questions as the ledger knows them.
        learned: Whether the live models learned from train, whose questions are then no fair ones.
        release: The live release.
        passages: By row id; what comes or goes later changes nothing in this run.
    """

    task: Task
    embedder: Embedder
    generation: Generation
    pool: int
    test: TestSet
    learned: bool
    release: Manifest
    passages: Mapping[int, Passage]
    notes: tuple[str, ...]

    @property
    def dev_clusters(self) -> NDArray[np.int64]:
        """[queries] label of each dev question's cluster."""
        return self.task.splits["dev"].clusters

    def board(self, labelled: Labelled) -> Board:
        """Questions as a scoreboard over the live index's keyword side."""
        return Board(self.task, labelled, self.generation.lexical, pool=self.pool, metric=self.test.metric)

    def of(self, split: Split) -> Board:
        """A split as a scoreboard."""
        return self.board(self.task.splits[split])

    @cached_property
    def dev(self) -> Board:
        """What candidates compete on."""
        return self.of("dev")

    @cached_property
    def dev_queries(self) -> Vectors:
        """[n, d] vectors of the dev questions by the live embedder."""
        return self.embedder.encode_query(self.dev.labelled.texts)

    @cached_property
    def fair(self) -> Board:
        """The questions on which untuned systems are compared, and settings chosen: nothing was fitted on them."""
        return self.dev if self.learned else self.board(questions(self.task))

    @cached_property
    def fair_queries(self) -> Vectors:
        """[n, d] vectors of the fair questions by the live embedder."""
        return self.embedder.encode_query(self.fair.labelled.texts)

    @cached_property
    def _systems(self) -> dict[str, RetrievalSettings]:
        """What could be the baseline, the plainest first. A tuned release comes first: it wins a tie against its own parts."""
        name, settings = self.release.release, self.release.retrieval
        if self.learned:
            return {name: settings} | {f"{plain} of {name}": system for plain, system in PLAIN.items()}
        return PLAIN if settings in PLAIN.values() else PLAIN | {name: settings}

    @cached_property
    def baseline(self) -> Baseline:
        """The strongest of the plain systems and of what is live, where nothing was fitted."""
        best = strongest(self.fair, self.fair_queries, self.generation.dense, self._systems)
        return Baseline(best.name, system_means(self.dev, self.dev_queries, self.generation.dense, self._systems))

    @property
    def retrieval(self) -> RetrievalSettings:
        """The baseline's settings."""
        return self._systems[self.baseline.name]


def take_snapshot(session: Session, metric: str, tell: Progress) -> Snapshot:
    """Read the data and open the live system.

    Raises:
        UsageError: There is nothing to measure with.
    """
    notes: tuple[str, ...] = ()
    if not has_labels(session.catalog):
        count = prepare.add_proxy(session.catalog, seed=session.settings.seed)
        notes += (
            f"There are no labels: {count} titles and headings stand in for questions, so only the fusion is tuned.",
        )
    task = load_task(session.catalog)
    check_enough(task, LEAST_TEST)
    task = widen_dev(task, seed=session.settings.seed)
    embedder = session.live_embedder()
    manifest = live_manifest(session.workspace, session.catalog)
    return Snapshot(
        task,
        embedder,
        session.catch_up(embedder, tell=tell),
        session.settings.pool,
        test_set(task, "test", metric, fresh_only=session.settings.test == "fresh"),
        bool(manifest.lineage.get("run")),
        manifest,
        documents.by_rowid(session.catalog, task.rowids.tolist()),
        (*notes, *task.notes),
    )


def test_set(task: Task, split: Split, metric: str, *, fresh_only: bool) -> TestSet:
    """The questions of a split as the ledger knows them."""
    labelled = task.splits[split]
    named = {
        query.id: {task.documents[document]: grade for document, grade in relevant.items()}
        for query, relevant in zip(labelled.queries, labelled.relevant, strict=True)
    }
    names = (judgements.fingerprint(labelled.queries, named),)
    proxy = task.origin == "proxy"
    return TestSet(RETRIEVER, metric, labelled.texts, labelled.clusters, names, fresh_only=fresh_only, proxy=proxy)


def data_card(session: Session, snapshot: Snapshot) -> DataCard:
    """What the report says of the data."""
    task = snapshot.task
    counts = documents.counts(session.catalog)
    sizes = {split: len(labelled.queries) for split, labelled in task.splits.items()}
    clusters = {split: labelled.cluster_count for split, labelled in task.splits.items()}
    return DataCard(
        test_set=f"test, {sizes['test']} questions",
        labels=task.origin,
        proxy=task.origin == "proxy",
        rows={
            "documents": f"{counts['documents']:,}",
            "passages": f"{counts['passages']:,}",
            "questions": each_split(sizes),
            "clusters": each_split(clusters),
            "labels": "judgements" if task.origin == "labels" else "titles and headings (proxy)",
        },
        digests={snapshot.baseline.name: snapshot.embedder.space[:12]},
    )
