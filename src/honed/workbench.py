"""What a turn builds once and every rung uses: plan, bench, models of candidates, passages embedded anew."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from honed.catalog import documents
from honed.dataset.examples import build_examples, no_examples
from honed.evaluate.probe import general_pairs
from honed.index.dense import DenseIndex
from honed.ingest.embed import embed_missing
from honed.models.adapter import AdaptedEmbedder, read_adapter
from honed.models.embedder import LocalEmbedder
from honed.models.folder import open_folder
from honed.models.runtime import cores
from honed.models.towers import open_towers
from honed.models.weights import write_weights
from honed.protocols import Embedder
from honed.release.build import live_manifest
from honed.session import Session
from honed.tune.bench import Bench, Guard, Recipe
from honed.tune.candidate import Candidate
from honed.tune.ladder import Corpus
from honed.tune.plan import Plan, Size, Speed, make_plan
from honed.tune.speed import measure
from honed.turn import Ground, Tell

_SAMPLE = 64


class Workbench:
    """The parts of one turn that cost time to make; each is made once.

    Attributes:
        model: Folder of the model that tuning starts from; None for an embedder that cannot be trained here.
        spec: The configured embedder, for a release that changes no model.
    """

    def __init__(self, session: Session, ground: Ground, tell: Tell, recipe: Recipe | None = None) -> None:
        self.session, self.ground, self.tell = session, ground, tell
        self.model = session.base_folder()
        self.spec = session.live_spec()
        self.recipe = replace(recipe or Recipe(), seed=session.settings.seed, threads=cores(session.settings.threads))
        self.examples = no_examples()
        train = ground.task.splits["train"]
        if self.model and ground.task.origin == "labels" and train.queries:
            tell(f"encoding {len(train.queries):,} train questions")
            queries = ground.embedder.encode_query(train.texts)
            self.examples = build_examples(ground.task, queries, ground.generation.dense.matrix)
            self._train_queries = queries[self.examples.kept]
        self._dense: dict[str, DenseIndex] = {ground.embedder.space: ground.generation.dense}
        self._embedders: dict[str, Embedder] = {}

    def fingerprint(self, budget: float) -> dict[str, Any]:
        """What a run depends on: an interrupted run goes on only under the same."""
        digest = hashlib.sha256(repr(self.examples.texts).encode())
        digest.update(self.ground.task.rowids.tobytes())
        live = live_manifest(self.session.workspace, self.session.catalog).release
        return {"budget": budget, "data": digest.hexdigest(), "space": self.ground.embedder.space, "live": live}

    def experiment(self, budget: float) -> dict[str, Any]:
        """What the result depends on: a run of the same experiment elsewhere is no other look at the test."""
        settings = asdict(self.session.settings) | asdict(self.recipe)
        for machine in ("threads", "bf16"):
            settings.pop(machine)
        return {**self.fingerprint(budget), "settings": repr(sorted(settings.items())), "version": version("honed")}

    def plan(self, budget: float, *, spent: float) -> Plan:
        """Measure the machine and fit the rungs into the budget; `spent` seconds of it are gone."""
        if not self.model or not len(self.examples):
            return make_plan(budget, spent, Speed(1.0, 1.0, False), Size(0, 0, 0, 0.0), self.recipe)
        self.tell("measuring this machine")
        started = time.monotonic()
        rowids = self.ground.task.rowids
        sample = rowids[:: max(1, len(rowids) // _SAMPLE)][:_SAMPLE]
        texts = [
            passage.embedded_text for passage in documents.by_rowid(self.session.catalog, sample.tolist()).values()
        ]
        speed = measure(self.model, self.ground.embedder, self.examples.texts, texts, self.recipe)
        tokenizer = Tokenizer.from_file(str(open_folder(self.model).query.tokenizer_path))
        tokenizer.no_padding()
        questions = sum(
            min(len(item.ids), self.recipe.query_tokens) for item in tokenizer.encode_batch_fast(self.examples.texts)
        )
        passage = sum(len(item.ids) for item in tokenizer.encode_batch_fast(texts)) / len(texts)
        size = Size(len(self.examples), questions, len(rowids), passage)
        return make_plan(budget, spent + time.monotonic() - started, speed, size, self.recipe)

    def bench(self, folder: Path, speed: Speed) -> Bench:
        """The bench of a run, in the precision that trains faster."""
        pool = self.session.settings.pool
        dev, fair = self.ground.board("dev", pool), self.ground.fair_board(pool)
        return Bench(
            task=self.ground.task,
            examples=self.examples,
            dev=dev,
            dense=self.ground.generation.dense,
            train_queries=self._train_queries if len(self.examples) else self.ground.generation.dense.matrix[:0],
            dev_queries=self.ground.fair_queries[: len(dev.labelled.queries)],
            fair=fair,
            fair_queries=self.ground.fair_queries,
            retrieval=self.ground.baseline.retrieval,
            general=self._guard(),
            model=self.model or Path(),
            folder=folder,
            recipe=replace(self.recipe, bf16=speed.bf16),
            tell=self.tell,
        )

    def _guard(self) -> Guard:
        pairs = general_pairs()
        return Guard(
            self.ground.embedder.encode_query([question for question, _ in pairs]),
            self.ground.embedder.encode_document([passage for _, passage in pairs]),
            0.75 * self.session.settings.max_general_drop,
        )

    def corpus(self) -> Corpus:
        """The passages for the rung that encodes them."""
        return Corpus(self._texts, self._embedded)

    def query_folder(self, candidate: Candidate) -> Path | None:
        """Model folder of a candidate's query tower; None where the configured embedder is kept as it is."""
        if candidate.query_folder:
            return candidate.query_folder
        return self._own_towers()[0] if self._released_model() else None

    def document_folder(self, candidate: Candidate) -> Path | None:
        """Model folder of a candidate's document tower; None where the configured embedder is kept as it is."""
        if candidate.document_folder:
            return candidate.document_folder
        if candidate.query_folder or self._released_model():
            return self._own_towers()[1]
        return None

    def adapter(self, candidate: Candidate, folder: Path) -> Path | None:
        """File of the query-side matrix in a candidate's release, written into `folder` where it is made of two.

        A live release's matrix stays below a candidate without a query tower of its own: queries pass it first. Two matrices
        become one, (I + A)(I + B) = I + A + B + AB, because the length in between does not matter.
        """
        live = self.ground.embedder
        if candidate.query_folder or not isinstance(live, AdaptedEmbedder):
            return candidate.adapter
        matrix = live.matrix
        if candidate.adapter:
            after = read_adapter(candidate.adapter)
            matrix = matrix + after + matrix @ after
        path = folder / "adapter-of-release.safetensors"
        write_weights(path, {"adapter": matrix})
        return path

    def embedder(self, candidate: Candidate) -> Embedder:
        """The embedder that a candidate ships, through the runtime that will serve it."""
        if candidate.name not in self._embedders:
            self._embedders[candidate.name] = self._opened(candidate)
        return self._embedders[candidate.name]

    def dense(self, candidate: Candidate) -> DenseIndex:
        """The passages in a candidate's space."""
        return self._indexed(self.embedder(candidate))

    def _opened(self, candidate: Candidate) -> Embedder:
        if candidate.adapter:
            return AdaptedEmbedder(self.ground.embedder, read_adapter(candidate.adapter))
        if candidate.query_folder is None:
            return self.ground.embedder
        documents_ = candidate.document_folder or self._own_towers()[1]
        return self._local(documents_, candidate.query_folder)

    def _local(self, folder: Path, query_folder: Path | None = None) -> LocalEmbedder:
        settings = self.session.settings
        return LocalEmbedder(
            folder, query_folder=query_folder, cache_dir=self.session.workspace.cache, threads=settings.threads
        )

    def _own_towers(self) -> tuple[Path, Path]:
        """Query and document tower of the model that tuning starts from."""
        return open_towers(self.model or Path())

    def _released_model(self) -> bool:
        """Whether the live release holds a model of its own, which a release after it must copy."""
        return bool(self.model) and self.session.workspace.releases in (self.model or Path()).parents

    def _texts(self, positions: NDArray[np.int64]) -> list[str]:
        rowids = self.ground.task.rowids[positions]
        found = documents.by_rowid(self.session.catalog, rowids.tolist())
        return [found[rowid].embedded_text for rowid in rowids.tolist()]

    def _embedded(self, folder: Path) -> DenseIndex:
        return self._indexed(self._local(folder))

    def _indexed(self, embedder: Embedder) -> DenseIndex:
        """All passages in an embedder's space; a run that goes on finds the vectors of its finished rung in the catalog."""
        if embedder.space not in self._dense:
            embed_missing(self.session.catalog, embedder, on_progress=_every_tenth(self.tell))
            self._dense[embedder.space] = DenseIndex.build(*self.session.catalog.vectors(embedder.space))
        return self._dense[embedder.space]


def _every_tenth(tell: Tell) -> Any:
    """Progress in ten lines."""
    said = [-1]

    def progress(done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > said[0]:
            said[0] = tenth
            tell(f"embedding passages: {done:,} of {total:,}")

    return progress
