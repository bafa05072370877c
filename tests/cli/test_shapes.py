"""What scripts rely on: exit codes and the JSON of every command, as DESIGN section 7 promises them."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from honed.catalog import history
from honed.release.build import build, live_manifest
from honed.release.parts import parts_of
from honed.session import open_session
from honed.workspace import at
from tests.cli.conftest import HASHED, Honed
from tests.tiny_model import make_tiny_bert


def test_init_makes_a_workspace_and_leaves_one_alone(honed: Honed, tmp_path: Path) -> None:
    root = tmp_path / "a b" / "ws"
    made = honed("init", root, "--json")
    assert (made.code, made.json) == (0, {"workspace": str(root)})
    (root / "honed.toml").write_text(HASHED)
    assert honed("init", root).code == 0
    assert (root / "honed.toml").read_text() == HASHED


def test_import_then_import_again(honed: Honed, workspace: Path, pack: Path) -> None:
    first = honed("import", pack, "--json").json
    assert {"new": 60, "changed": 0, "unchanged": 0, "removed": 0, "queries": 60, "qrels": 60}.items() <= first.items()
    again = honed("import", pack, "--json").json
    assert (again["new"], again["unchanged"], again["passages"]) == (0, 60, 60)


def test_packs_without_some_splits(honed: Honed, workspace: Path, pack: Path) -> None:
    (pack / "qrels/dev.tsv").unlink()
    told = honed("import", pack, "--json").json
    assert "no dev split" in told["notes"][0]
    queries = honed("status", "--json").json["queries"]
    assert queries["test"] == 18
    assert queries["dev"] >= 1
    assert queries["dev"] + queries["train"] == 30


def test_a_pack_without_questions(honed: Honed, workspace: Path, pack: Path) -> None:
    shutil.rmtree(pack / "qrels")
    (pack / "queries.jsonl").unlink()
    told = honed("import", pack, "--json").json
    assert (told["new"], told["queries"], told["qrels"]) == (60, 0, 0)
    assert honed("search", "flu", "--json").json["hits"]
    assert honed("evaluate").code == 2


def test_a_model_folder_is_named_from_the_workspace(
    honed: Honed, workspace: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join((pack / "corpus.jsonl").read_text().split())
    make_tiny_bert(workspace / "models/tiny", vocab_texts=[words])
    (workspace / "honed.toml").write_text('embedder = "models/tiny"\nthreads = 1\n')
    assert honed("import", pack).code == 0
    monkeypatch.chdir("/")
    moved = workspace.rename(workspace.with_name("moved"))
    assert honed("-w", moved, "search", "treatment of cholera", "--json").json["hits"]
    assert honed("-w", moved, "export", "model", moved / "out").code == 0


def test_search(honed: Honed, imported: Path) -> None:
    value = honed("search", "treatment of cholera", "-k", "3", "--json").json
    assert set(value) == {"release", "hits", "ms"}
    assert value["release"] == "r1"
    assert [hit["rank"] for hit in value["hits"]] == [1, 2, 3]
    best = value["hits"][0]
    assert set(best) == {"rank", "passage", "document", "score", "title", "text", "source"}
    assert best["document"] == "cholera/treatment"
    assert best["source"].endswith("/pack/corpus.jsonl#cholera/treatment")
    shown = honed("search", "treatment of cholera")
    assert "cholera treatment" in shown.out.splitlines()[0]
    assert shown.err == ""


def test_search_with_filters(honed: Honed, imported: Path) -> None:
    value = honed("search", "treatment", "--filter", "topic=flu", "-k", "50", "--json").json
    assert {hit["document"].split("/")[0] for hit in value["hits"]} == {"flu"}
    assert len(value["hits"]) == 6
    assert honed("search", "treatment", "-f", "topic=nothing", "--json").json["hits"] == []
    assert "Nothing was found" in honed("search", "treatment", "-f", "topic=nothing").out


def test_ask(honed: Honed, imported: Path) -> None:
    value = honed("ask", "What are the symptoms of dengue?", "--json").json
    assert {"release", "answer", "refused", "citations", "contexts", "ms"} <= set(value)
    assert value["refused"] is False
    passages = {context["passage"]: context["text"] for context in value["contexts"]}
    for citation in value["citations"]:
        assert set(citation) == {"passage", "quote"}
        assert citation["quote"] in passages[citation["passage"]]
    refused = honed("ask", "Who won the chess championship in Reykjavik?", "--json").json
    assert (refused["refused"], refused["citations"]) == (True, [])


def test_evaluate(honed: Honed, imported: Path) -> None:
    value = honed("evaluate", "--split", "test", "--json").json
    assert value["queries"] == 18
    assert (value["release"], value["split"]) == ("r1", "test")
    assert {"ndcg@10", "recall@10", "recall@100", "mrr@10"} <= set(value["metrics"])
    for system in ("bm25", "dense", "hybrid", "live", "r1"):
        shown = honed("evaluate", "--split", "dev", "--system", system, "--json").json
        assert shown["system"] == system
        assert 0.0 <= shown["metrics"]["ndcg@10"] <= 1.0
    assert "12 questions of dev" in honed("evaluate", "--split", "dev").out


def test_every_comparison_on_the_test_set_is_counted(honed: Honed, imported: Path) -> None:
    def reads(*systems: str, split: str = "test") -> int:
        return honed("compare", *systems, "--split", split, "--json").json["comparison"]["test_reads"]

    assert [reads("bm25", "hybrid"), reads("bm25", "hybrid"), reads("bm25", "dense")] == [1, 1, 2]
    assert reads("bm25", "hybrid", split="dev") == 1
    assert reads("dense", "hybrid") == 3


def test_a_comparison_is_counted_by_what_is_compared_not_by_its_words(honed: Honed, imported: Path) -> None:
    """What "live" names is another system after a promotion; under the name that it had before it is the same one."""

    def reads(*systems: str) -> int:
        return honed("compare", *systems, "--json").json["comparison"]["test_reads"]

    assert [reads("bm25", "live"), reads("bm25", "live"), reads("bm25", "r1")] == [1, 1, 1]
    with open_session(at(imported)) as session:
        live = live_manifest(session.workspace, session.catalog)
        again = parts_of(session.workspace, live, what="another", lineage={"run": "x"})
        build(session.workspace, session.catalog, again, expected=1, reason="a test")
    assert reads("bm25", "live") == 2


def test_the_metric_that_decides_is_named_before_the_test(honed: Honed, imported: Path) -> None:
    value = honed("compare", "bm25", "hybrid", "--metric", "recall@5", "--json").json["comparison"]
    assert value["metric"] == "recall@5"
    assert {"ndcg@10", "recall@10", "mrr@10"} <= set(value["others"])
    refused = honed("compare", "bm25", "hybrid", "--metric", "map", "--json")
    assert refused.code == 2
    assert "recall@K" in refused.err
    with open_session(at(imported)) as session:
        assert [row.metric for row in history.looks(session.catalog, "retriever")] == ["recall@5"]


def test_fresh_questions_are_used_up_by_a_look(honed: Honed, imported: Path) -> None:
    first = honed("compare", "bm25", "hybrid", "--fresh", "--json").json["comparison"]
    assert (first["test_reads"], first["fresh_only"], first["primary"]["queries"]) == (1, True, 18)
    second = honed("compare", "bm25", "dense", "--fresh", "--json")
    assert second.code == 2
    assert "None of the 18 test questions can decide anything" in second.err


def test_compare(honed: Honed, imported: Path) -> None:
    same = honed("compare", "bm25", "bm25", "--split", "dev", "--json")
    assert same.code == 0
    assert same.json["verdict"] == "not proven"
    assert same.json["reasons"]
    refused = honed("compare", "bm25", "bm25", "--split", "dev", "--gate")
    assert refused.code == 1
    assert "not proven better" in refused.err


def test_export_rankings_is_a_trec_run(honed: Honed, imported: Path) -> None:
    file = imported / "out" / "run.trec"
    value = honed("export", "rankings", "--split", "test", "--system", "bm25", "-k", "5", file, "--json").json
    assert value == {"file": str(file), "queries": 18}
    rows = [line.split() for line in file.read_text().splitlines()]
    assert {len(row) for row in rows} == {6}
    assert {row[0] for row in rows} == {f"q_{t}/{p}" for t in ("hepatitis", "impetigo", "jaundice") for p in _PARTS}
    assert {row[1] for row in rows} == {"Q0"}
    documents = {json.loads(line)["_id"] for line in (imported.parent / "pack/corpus.jsonl").open()}
    assert {row[2] for row in rows} <= documents
    by_query: dict[str, list[list[str]]] = {}
    for row in rows:
        by_query.setdefault(row[0], []).append(row)
    for ranking in by_query.values():
        assert [int(row[3]) for row in ranking] == list(range(1, len(ranking) + 1))
        scores = [float(row[4]) for row in ranking]
        assert all(left > right for left, right in pairwise(scores))


_PARTS = ("symptoms", "treatment", "causes", "prevention", "diagnosis", "history")


def test_releases_promote_and_rollback(honed: Honed, imported: Path) -> None:
    (row,) = honed("releases", "--json").json["releases"]
    assert (row["release"], row["live"], row["run"]) == ("r1", True, None)
    assert honed("promote", "r1", "--json").json == {"release": "r1"}
    assert len(honed("releases", "--audit", "--json").json["audit"]) == 1
    nothing = honed("rollback")
    assert nothing.code == 2
    assert "no earlier release" in nothing.err


def test_status(honed: Honed, imported: Path) -> None:
    value = honed("status", "--sources", "--json").json
    assert {"documents": 60, "passages": 60, "sources": 60, "live": "r1", "workspace": str(imported)}.items() <= (
        value.items()
    )
    assert value["queries"] == {"train": 30, "dev": 12, "test": 18}
    assert set(value["files"].values()) == {"ok"}
    assert "live release" in honed("status").out


def test_label(honed: Honed, imported: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("question,source\nhow to treat the flu?,flu/treatment\nwhat is it?,not there\n")
    value = honed("label", table, "--json").json
    assert value["questions"] == 1
    assert "1 rows name a source that is not known" in value["notes"][0]


def test_doctor_and_compact(honed: Honed, imported: Path) -> None:
    checked = honed("doctor", "--json")
    assert checked.code == 0, checked.out
    assert honed("compact", "--json").code == 0


def test_tune_plan_only(honed: Honed, imported: Path) -> None:
    pytest.importorskip("torch")
    value = honed("tune", "--budget", "60s", "--dry-run", "--json")
    assert value.code == 0
    assert value.json["plan"]
    assert not (imported / "runs").exists()


def test_tune_without_pictures_says_what_is_missing(honed: Honed, imported: Path) -> None:
    pytest.importorskip("torch")
    value = honed("tune", "--role", "text-to-image", "--budget", "60s", "--json")
    assert value.code == 2
    assert "No picture has a caption" in value.err
    assert "hint:" in value.err


def test_tune_of_the_fusion_alone(honed: Honed, imported: Path) -> None:
    pytest.importorskip("torch")
    value = honed("tune", "--budget", "60s", "--json").json
    assert set(value) >= {
        "run", "verdict", "role", "baseline", "candidate", "delta", "queries", "clusters",
        "candidates_tried", "test_reads", "release", "seconds",
    }  # fmt: skip
    assert set(value["delta"]) == {"metric", "mean", "ci95", "p", "mde"}
    assert value["verdict"] in ("proven", "not proven")
    assert (value["release"] is None) == (value["verdict"] == "not proven")
    told = honed("report", "--json").json
    assert Path(told["report"]).is_file()
    assert told["run"] == value["run"]
