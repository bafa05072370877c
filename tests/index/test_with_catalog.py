"""The indexes over the real catalog, and what a one-shot search loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from honed.catalog import Catalog
from honed.catalog.documents import add, drop_orphans, remove_sources, set_source, text_hash
from honed.index.reader import IndexReader
from honed.index.refresh import refresh
from honed.types import Document, Passage, Source
from tests.index.fakes import SPACE, vector

ROOT = Path(__file__).parents[2]


def put(catalog: Catalog, name: str, *texts: str, embed: bool = True) -> None:
    passages = [Passage(f"{name}-{n}", name, n, f"Title {name}", text) for n, text in enumerate(texts)]
    with catalog.transaction():
        add(catalog, Document(name, name, f"Title {name}", language="en"), passages)
        set_source(catalog, Source(f"/{name}", name, 1), name)
    if embed:
        hashes = [text_hash(passage) for passage in passages]
        catalog.put_vectors(SPACE, hashes, np.stack([vector(n, text) for n, text in enumerate(texts)]))


def drop(catalog: Catalog, name: str) -> None:
    with catalog.transaction():
        remove_sources(catalog, [f"/{name}"])
        drop_orphans(catalog)


def test_documents_come_and_go(tmp_path: Path) -> None:
    with Catalog(tmp_path / "catalog.db", create=True) as catalog:
        put(catalog, "spine", "tuberculosis of the spine", "slow fever")
        put(catalog, "lungs", *(f"asthma case{n}" for n in range(30)))
        refresh(catalog, tmp_path, SPACE)
        with IndexReader(tmp_path, SPACE, catalog) as reader:
            assert len(reader.lexical("tuberculosis", 5)[0]) == 1
            assert len(reader.view().rows(["lang=en"])) == 32
            drop(catalog, "spine")
            assert reader.lexical("tuberculosis", 5)[0].size == 0
            put(catalog, "heart", "murmur")
            (row,) = {rowid for rowid, *_ in catalog.index_rows()} - set(reader.view().generation.rowids.tolist())
            assert reader.dense(vector(0, "murmur")[None], 1)[1].tolist() == [[row]]
            assert refresh(catalog, tmp_path, SPACE).manifest.churn == 3
            assert reader.lexical("murmur", 5)[0].tolist() == [row]
            put(catalog, "late", "gout", embed=False)
            assert refresh(catalog, tmp_path, SPACE).manifest.passages == 32
            put(catalog, "late", "gout")
            assert refresh(catalog, tmp_path, SPACE).manifest.vectors == 32


def test_a_small_search_loads_no_faiss_and_the_room_loads_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
import honed.index
assert not {{"numpy", "faiss", "tantivy"}} & set(sys.modules)
from pathlib import Path
from honed.index.generation import open_current
from tests.index.fakes import SPACE, vector
found = open_current(Path({str(tmp_path)!r}), SPACE)
assert found.dense.search(vector(0, "murmur")[None], 1)[1].tolist() == [[1]]
assert not {{"faiss", "torch", "scipy", "sqlite3"}} & set(sys.modules)
"""
    with Catalog(tmp_path / "catalog.db", create=True) as catalog:
        put(catalog, "heart", "murmur")
        refresh(catalog, tmp_path, SPACE)
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path}, timeout=60)
