from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from honed.errors import InputError
from honed.formats import Row, read_beir, read_labels, write_trec
from honed.types import Qrel

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=12)


def lay(folder: Path, **files: str | list[dict[str, object]]) -> Path:
    """Write a BEIR folder; a list becomes JSON lines, `train`, `dev` and `test` become qrels."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        lines = content if isinstance(content, str) else "".join(json.dumps(row) + "\n" for row in content)
        target = folder / "qrels" / f"{name}.tsv" if name in ("train", "dev", "test") else folder / f"{name}.jsonl"
        target.write_text(lines, encoding="utf-8")
    return folder


HEADER = "query-id\tcorpus-id\tscore\n"


@settings(max_examples=60, deadline=None)
@given(rows=st.dictionaries(names, st.tuples(words, words, st.dictionaries(words, words | st.integers())), max_size=6))
def test_a_corpus_round_trips(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, tuple]) -> None:
    folder = tmp_path_factory.mktemp("beir")
    lay(folder, corpus=[{"_id": n, "title": t, "text": x, "metadata": m} for n, (t, x, m) in rows.items()])
    assert list(read_beir(folder).corpus()) == [Row(name, *row) for name, row in rows.items()]


def test_splits_queries_and_answers(tmp_path: Path) -> None:
    lay(
        tmp_path,
        corpus=[{"_id": "d", "text": "x"}],
        queries=[
            {"_id": "q1", "text": "one", "kind": "a"},
            {"id": 2, "text": "two"},
            {"_id": "q3", "text": "unjudged"},
        ],
        answers=[{"query_id": "q1", "answer": "yes"}, {"query_id": "q9", "answer": "no"}],
        train=HEADER + "q1\td\t1\n2\td\t0\n",
        test=HEADER + "2\td\t2\nmissing\td\t1\n",
    )
    beir = read_beir(tmp_path)
    assert [(query.id, query.text, query.split) for query in beir.queries] == [
        ("q1", "one", "train"),
        ("2", "two", "test"),
    ]
    assert beir.queries[0].meta == {"kind": "a"}
    assert beir.qrels == (Qrel("q1", "d", 1), Qrel("2", "d", 2))
    assert beir.answers == (("q1", "yes"),)
    assert beir.splits == ("train", "test")


def test_a_query_of_two_splits_belongs_to_the_later_one(tmp_path: Path) -> None:
    lay(
        tmp_path,
        corpus=[{"_id": "d", "text": "x"}, {"_id": "e", "text": "y"}],
        queries=[{"_id": "q", "text": "one"}],
        train=HEADER + "q\td\t1\n",
        test=HEADER + "q\te\t1\n",
    )
    beir = read_beir(tmp_path)
    assert (beir.queries[0].split, beir.qrels) == ("test", (Qrel("q", "e", 1),))


def test_only_a_corpus(tmp_path: Path) -> None:
    beir = read_beir(lay(tmp_path, corpus=[{"_id": "d", "text": "x"}]))
    assert (beir.queries, beir.qrels, beir.answers, beir.splits) == ((), (), (), ())
    (tmp_path / "corpus.jsonl").write_text("")
    assert list(read_beir(tmp_path).corpus()) == []


def test_qrels_without_a_header_in_trec_form_and_with_negative_grades(tmp_path: Path) -> None:
    lay(
        tmp_path,
        corpus=[{"_id": "d", "text": "x"}],
        queries=[{"_id": "q", "text": "one"}],
        dev="q\t0\td\t3\n\nq\t0\te\t-1\n",
    )
    assert read_beir(tmp_path).qrels == (Qrel("q", "d", 3),)


def test_a_byte_order_mark_is_not_part_of_an_id(tmp_path: Path) -> None:
    lay(tmp_path, corpus='\ufeff{"_id": "d", "text": "x"}\n', queries='\ufeff{"_id": "q", "text": "t"}\n')
    lay(tmp_path, dev="\ufeffq\td\t1\n")
    beir = read_beir(tmp_path)
    assert beir.qrels == (Qrel("q", "d", 1),)


def test_what_json_of_other_programs_holds(tmp_path: Path) -> None:
    lay(tmp_path, corpus='{"_id": 7, "title": NaN, "text": "half \\ud83d pair", "year": Infinity}\r\n')
    (row,) = read_beir(tmp_path).corpus()
    assert row == Row("7", "", "half ? pair", {"year": None})
    assert row.text.encode()


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    text = "one\u2028two\x85three\x0cfour"
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "d", "text": text}, ensure_ascii=False) + "\n")
    (row,) = read_beir(tmp_path).corpus()
    assert row.text == text


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_label_tables(tmp_path: Path, delimiter: str) -> None:
    table = tmp_path / "labels.csv"
    lines = [
        ["Question ", "SOURCE", "grade", "note"],
        ["what is ü?", "a b.txt", "2", "x"],
        ["q2", "b", "", ""],
        ["", "c"],
    ]
    table.write_text("\ufeff" + "\r\n".join(delimiter.join(line) for line in lines), encoding="utf-8")
    assert read_labels(table).questions == (("what is ü?", "a b.txt", 2), ("q2", "b", 1))


def test_quoted_fields_with_commas_and_line_ends(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text('question,source\n"a, ""b""\nand c",x\n')
    assert read_labels(table).questions == (('a, "b"\nand c', "x", 1),)
    table.write_text("question,source,grade\nq,x,²\n")
    with pytest.raises(InputError, match="line 2: the grade '²'"):
        read_labels(table)


scores = st.floats(-2, 2, allow_nan=False, width=32)


def test_trec_ids_that_only_white_space_tells_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot tell the ids"):
        write_trec(tmp_path / "run.trec", {"q": [("a b", 1.0), ("a_b", 0.5)]}, "tag")
    assert not (tmp_path / "run.trec").exists()


@settings(max_examples=100, deadline=None)
@given(rankings=st.dictionaries(names, st.dictionaries(names, scores, max_size=30), max_size=4))
def test_trec_scores_fall_and_ids_come_back(
    tmp_path_factory: pytest.TempPathFactory, rankings: dict[str, dict[str, float]]
) -> None:
    ranked = {q: sorted(found.items(), key=lambda pair: -pair[1]) for q, found in rankings.items()}
    path = tmp_path_factory.mktemp("trec") / "run.trec"
    write_trec(path, ranked, "honed-live")
    back: dict[str, list[tuple[str, float]]] = {}
    for line in path.read_text().splitlines():
        query, zero, document, rank, score, tag = line.split(" ")
        back.setdefault(query, []).append((document, float(score)))
        assert (zero, tag, int(rank)) == ("Q0", "honed-live", len(back[query]))
    for query, ranking in ranked.items():
        if ranking:
            assert [document for document, _ in back[query]] == [document for document, _ in ranking]
            assert all(left[1] > right[1] for left, right in pairwise(back[query]))
            assert all(math.isclose(a[1], b[1], abs_tol=1e-4) for a, b in zip(back[query], ranking, strict=True))


def test_ids_with_spaces_become_one_token(tmp_path: Path) -> None:
    write_trec(tmp_path / "run", {"my query": [("a  b\tc", 1.0)]}, "t")
    assert (tmp_path / "run").read_text() == "my_query Q0 a_b_c 1 1.000000 t\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_trec(tmp_path / "link", {"q": [("d", 1.0)]}, "t")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().startswith("q Q0 d")
