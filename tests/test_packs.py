"""The main job on the data packs, by the command line: what ships is proven, and other tools agree with our figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

PACKS = Path(os.environ.get("HONED_PACKS") or Path(__file__).parents[2] / "shared" / "packs")
NAMES = ("banking77-tickets", "cuad-contracts", "medquad", "thunderbird-support")

pytestmark = [pytest.mark.packs, pytest.mark.timeout(900)]


@pytest.fixture(params=NAMES)
def pack(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = str(request.param)
    if (PACKS / name / "corpus.jsonl").is_file():
        return PACKS / name
    archive = PACKS / f"{name}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"THE DATA PACK {name} IS NOT IN {PACKS}: set HONED_PACKS")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path, filter="data")
    return tmp_path / name


def honed(workspace: Path, *words: str) -> dict:
    command = [sys.executable, "-m", "honed", "-w", str(workspace), *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_what_is_shipped_is_proven_and_other_tools_agree(pack: Path, tmp_path: Path) -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    workspace = tmp_path / "workspace"
    subprocess.run([sys.executable, "-m", "honed", "init", str(workspace)], check=True, capture_output=True)
    taken = honed(workspace, "import", str(pack))
    assert taken["new"] == sum(1 for _ in (pack / "corpus.jsonl").open())

    before = honed(workspace, "evaluate", "--split", "dev", "--system", "hybrid")["metrics"]["ndcg@10"]
    turn = honed(workspace, "tune", "--budget", "2m")
    assert turn["seconds"] <= 1.1 * 120
    proven = turn["verdict"] == "proven"
    assert proven == (turn["release"] is not None)
    if proven:
        assert turn["delta"]["ci95"][0] > 0
        assert turn["delta"]["mean"] >= 0.01
    else:
        assert honed(workspace, "releases")["releases"][-1]["release"] == "r1"
    assert 0 < before < 1

    file = tmp_path / "live.trec"
    honed(workspace, "export", "rankings", "--split", "dev", str(file))
    qrels: dict[str, dict[str, int]] = {}
    for line in (pack / "qrels" / "dev.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    run: dict[str, dict[str, float]] = {}
    for line in file.read_text().splitlines():
        query, _, document, _, score, _ = line.split()
        run.setdefault(query, {})[document] = float(score)
    judged = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10"}).evaluate(run)
    theirs = float(np.mean([judged.get(query, {"ndcg_cut_10": 0.0})["ndcg_cut_10"] for query in qrels]))
    ours = honed(workspace, "evaluate", "--split", "dev")["metrics"]["ndcg@10"]
    assert ours == pytest.approx(theirs, abs=2e-4)
