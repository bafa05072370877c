"""Makes `workspace-before.tar.gz`: run it with the sources of the version before, from the root of their checkout.

    cd CHECKOUT_OF_0.1_BEFORE && .venv/bin/python PATH/tests/data/make_workspace_before.py OUT.tar.gz

A workspace as that version left it (catalog of format 2, release manifests and indexes of their time): the toy domain of
`tests/toy.py` imported, two notes and a picture added, r1 untuned, r2 proven and live. The model lies in the workspace and
is named by a relative path. Caches are left out: they are derived.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from honed.loop import settle, tune
from honed.tune.bench import Recipe
from PIL import Image
from tests import toy
from tests.tiny_model import make_tiny_bert

from honed.formats import read_beir
from honed.ingest.importing import import_beir
from honed.ingest.sandbox import Sandbox
from honed.ingest.sync import Intake, sync
from honed.session import open_session
from honed.workspace import create

RECIPE = Recipe(
    batch=8, both_batch=8, query_rate=1e-2, query_epochs=40, both_rate=1e-2, both_epochs=10, adapter_epochs=10
)


def make(root: Path) -> Path:
    words = [" ".join(toy.PLAIN), " ".join(toy.JARGON)]
    make_tiny_bert(root / "ws/model", vocab_texts=words, hidden=28)
    workspace = create(root / "ws", 'embedder = "folder:model"\nthreads = 1\nmax_general_drop = 0.9\n')
    rows = read_beir(toy.write_beir(root / "beir"))
    (root / "notes").mkdir()
    (root / "notes/tide.md").write_text("# The tide\n\nThe pilot waits until the tide is high.\n")
    (root / "notes/quay.txt").write_text("Ropes are kept at the northern end of the quay.\n")
    Image.new("RGB", (24, 16), (200, 30, 30)).save(root / "notes/red flag.png")
    with Sandbox(ocr=False) as sandbox, open_session(workspace, create=True) as session:
        import_beir(session.catalog, rows, passage_words=160)
        sync(Intake(workspace, session.catalog, sandbox, 160), [root / "notes"])
        settle(session, print, given={query.id: query.split for query in rows.queries})
        turn = tune(session, budget=600.0, tell=print, recipe=RECIPE)
        assert turn is not None
        assert turn.release == "r2", turn.verdict
    shutil.rmtree(workspace.cache, ignore_errors=True)
    for page in workspace.runs.glob("*/report.html"):
        page.unlink()
    return workspace.root


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="before-") as folder, tarfile.open(sys.argv[1], "w:gz") as archive:
        archive.add(make(Path(folder)), arcname="workspace")
