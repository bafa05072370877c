"""What a run on text opens once and every stage uses: base model, training examples, models of candidates and their passages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from honed.answer.settings import RetrievalSettings
from honed.catalog import documents, vectors
from honed.dataset.examples import build_examples, no_examples
from honed.evaluate.probe import general_pairs
from honed.index.dense import DenseIndex
from honed.ingest.embed import embed_texts
from honed.models.adapter import AdaptedEmbedder, read_adapter
from honed.models.embedder import LocalEmbedder
from honed.models.folder import open_folder
from honed.models.runtime import cores
from honed.models.towers import open_towers, save_towers
from honed.models.weights import write_weights
from honed.protocols import Embedder
from honed.release.build import part_of
from honed.release.manifest import RETRIEVER, Part
from honed.roles.retriever.plan import Size, Speed, make_plan
from honed.roles.retriever.recipe import Recipe
from honed.roles.retriever.snapshot import Snapshot
from honed.roles.retriever.speed import measure_speed
from honed.roles.retriever.training import Guard, TrainingContext
from honed.session import Session
from honed.tuning.candidate import Candidate
from honed.tuning.plan import Clock, Plan
from honed.tuning.role import Progress, Work
from honed.types import SPLITS

QUERY_TOWER, DOCUMENT_TOWER, ADAPTER = "query-tower", "document-tower", "adapter"
"""Files of a candidate: what is missing is the base's."""

_SAMPLE = 64
"""Passages whose encoding is timed."""


class Models:
    """The parts of one run that cost time to make; each is made once.

    Attributes:
        base: Folder of the model that tuning starts from; None for an embedder that cannot be trained here.
        examples: Train questions with what answers them, and what must not count against them.
    """

    def __init__(self, session: Session, snapshot: Snapshot, tell: Progress, recipe: Recipe | None = None) -> None:
        self.session, self.snapshot, self.tell = session, snapshot, tell
        self.base = session.base_folder()
        self.recipe = replace(recipe or Recipe(), seed=session.settings.seed, threads=cores(session.settings.threads))
        self.examples = no_examples()
        train = snapshot.task.splits["train"]
        if self.base and snapshot.task.origin == "labels" and train.queries:
            tell(f"encoding {len(train.queries):,} train questions")
            queries = snapshot.embedder.encode_query(train.texts)
            self.examples = build_examples(snapshot.task, queries, snapshot.generation.dense.matrix)
            self._train_queries = queries[self.examples.kept]
        self._dense: dict[str, DenseIndex] = {snapshot.embedder.space: snapshot.generation.dense}
        self._embedders: dict[str, Embedder] = {}

    def experiment(self) -> dict[str, Any]:
        """All that the result depends on, but for how many threads compute it."""
        snapshot, task = self.snapshot, self.snapshot.task
        digest = hashlib.sha256(repr([task.documents, task.origin]).encode())
        for part in (task.rowids, task.passage_document, task.document_clusters, snapshot.generation.dense.matrix):
            digest.update(np.ascontiguousarray(part).data)
        for split in SPLITS:
            labelled = task.splits[split]
            asked = [(query.id, query.text) for query in labelled.queries]
            judged = [sorted(relevant.items()) for relevant in labelled.relevant]
            digest.update(repr((asked, judged, labelled.clusters.tolist())).encode())
        settings = asdict(self.session.settings) | asdict(self.recipe)
        for machine in ("threads", "bf16"):
            settings.pop(machine)
        return {
            "data": digest.hexdigest(),
            "space": snapshot.embedder.space,
            "live": snapshot.release.release,
            "metric": snapshot.test.metric,
            "settings": repr(sorted(settings.items())),
            "version": version("honed"),
        }

    def plan(self, clock: Clock) -> Plan:
        """Measure this machine on the user's own texts, and fit the stages into the budget."""
        if not self.base or not len(self.examples):
            return make_plan(clock, Speed(1.0, 1.0, False), Size(0, 0, 0, 0.0), self.recipe)
        self.tell("measuring this machine")
        rowids = self.snapshot.task.rowids
        sample = rowids[:: max(1, len(rowids) // _SAMPLE)][:_SAMPLE]
        texts = [self.snapshot.passages[rowid].embedded_text for rowid in sample.tolist()]
        speed = measure_speed(self.base, self.snapshot.embedder, self.examples.texts, texts, self.recipe)
        tokenizer = Tokenizer.from_file(str(open_folder(self.base).query.tokenizer_path))
        tokenizer.no_padding()
        lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(self.examples.texts)]
        questions = sum(min(length, self.recipe.query_tokens) for length in lengths)
        passage = sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts)) / len(texts)
        return make_plan(clock, speed, Size(len(self.examples), questions, len(rowids), passage), self.recipe)

    def training(self, work: Work, retrieval: RetrievalSettings, *, bf16: bool = False) -> TrainingContext:
        """What a stage works with.

        Args:
            retrieval: The search settings that it starts from.
            bf16: Whether bfloat16 trains faster here.
        """
        snapshot = self.snapshot
        return TrainingContext(
            task=snapshot.task,
            examples=self.examples,
            dev=snapshot.dev,
            dense=snapshot.generation.dense,
            train_queries=self._train_queries if len(self.examples) else snapshot.generation.dense.matrix[:0],
            dev_queries=snapshot.dev_queries,
            fair=snapshot.fair,
            fair_queries=snapshot.fair_queries,
            retrieval=retrieval,
            general=self._guard,
            model=self.base or Path(),
            folder=work.folder,
            recipe=replace(self.recipe, bf16=bf16),
            tell=work.tell,
        )

    @cached_property
    def _guard(self) -> Guard:
        pairs = general_pairs()
        return Guard(
            self.snapshot.embedder.encode_query([question for question, _ in pairs]),
            self.snapshot.embedder.encode_document([passage for _, passage in pairs]),
            0.75 * self.session.settings.max_general_drop,
        )

    def part(self, candidate: Candidate, folder: Path) -> Part:
        """What a release with this candidate pins; files that are made of two are written into `folder`."""
        settings = self.session.settings
        live = part_of(self.session.workspace, self.snapshot.release, RETRIEVER)
        files = {name: path for name, path in live.files.items() if name == "model"}
        if QUERY_TOWER in candidate.files:
            documents_ = candidate.files.get(DOCUMENT_TOWER) or self._base_towers()[1]
            save_towers(candidate.files[QUERY_TOWER], documents_, folder / "model")
            files["model"] = folder / "model"
        adapter = self._adapter(candidate, folder)
        if adapter:
            files["adapter"] = adapter
        values = {
            "embedder": live.values["embedder"],
            "retrieval": candidate.values["retrieval"],
            "pool": settings.pool,
            "language": settings.language,
        }
        self.session.catch_up(self.embedder(candidate), tell=self.tell)  # with what came since
        return Part(values, files, self.embedder(candidate).space)

    def _adapter(self, candidate: Candidate, folder: Path) -> Path | None:
        """File of the query-side matrix in a candidate's release.

        A live release's matrix stays below a candidate without a query tower of its own: queries pass it first. Two matrices
        become one, (I + A)(I + B) = I + A + B + AB, because the length in between does not matter.
        """
        live, own = self.snapshot.embedder, candidate.files.get(ADAPTER)
        if QUERY_TOWER in candidate.files or not isinstance(live, AdaptedEmbedder):
            return own
        matrix = live.matrix
        if own:
            after = read_adapter(own)
            matrix = matrix + after + matrix @ after
        path = folder / "adapter.safetensors"
        write_weights(path, {"adapter": matrix})
        return path

    def embedder(self, candidate: Candidate) -> Embedder:
        """The embedder that a candidate ships, through the runtime that will serve it."""
        if candidate.name not in self._embedders:
            self._embedders[candidate.name] = self._opened(candidate.files)
        return self._embedders[candidate.name]

    def dense(self, candidate: Candidate) -> DenseIndex:
        """The passages in a candidate's space."""
        return self._indexed(self.embedder(candidate))

    def _opened(self, files: Mapping[str, Path]) -> Embedder:
        if ADAPTER in files:
            return AdaptedEmbedder(self.snapshot.embedder, read_adapter(files[ADAPTER]))
        if QUERY_TOWER not in files:
            return self.snapshot.embedder
        return self._local(files.get(DOCUMENT_TOWER) or self._base_towers()[1], files[QUERY_TOWER])

    def _local(self, folder: Path, query_folder: Path | None = None) -> LocalEmbedder:
        cache, threads = self.session.workspace.cache, self.session.settings.threads
        return LocalEmbedder(folder, query_folder=query_folder, cache_dir=cache, threads=threads)

    def _base_towers(self) -> tuple[Path, Path]:
        """Query and document tower of the model that tuning starts from."""
        return open_towers(self.base or Path())

    def texts(self, positions: NDArray[np.int64]) -> list[str]:
        """What is embedded of passages, by their positions in the task."""
        rowids = self.snapshot.task.rowids[positions]
        return [self.snapshot.passages[rowid].embedded_text for rowid in rowids.tolist()]

    def embedded(self, folder: Path) -> DenseIndex:
        """All passages by the document tower in a folder."""
        return self._indexed(self._local(folder))

    def _indexed(self, embedder: Embedder) -> DenseIndex:
        """The passages of the snapshot in an embedder's space, whatever came or went since; no text is encoded twice.

        A run that goes on finds the vectors of its finished stage in the catalog.
        """
        catalog, space = self.session.catalog, embedder.space
        if space not in self._dense:
            rowids = self.snapshot.task.rowids
            passages = [self.snapshot.passages[rowid] for rowid in rowids.tolist()]
            keys = [documents.text_hash(passage) for passage in passages]
            present = vectors.held(catalog, space, keys).keys()
            texts = {key: item.embedded_text for key, item in zip(keys, passages, strict=True) if key not in present}
            embed_texts(catalog, embedder, list(texts.items()), on_progress=_every_tenth(self.tell))
            self._dense[space] = DenseIndex.build(rowids, vectors.matrix(catalog, space, keys))
        return self._dense[space]


def _every_tenth(tell: Progress) -> Callable[[int, int], None]:
    """Progress in ten lines."""
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            tell(f"embedding passages: {done:,} of {total:,}")

    return progress
