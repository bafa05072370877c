"""Files that other tools read and write: BEIR folders, label tables, TREC run files."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honed.errors import InputError
from honed.types import SPLITS, Qrel, Query, Split
from honed.workspace import write_atomic

_CORPUS_KEYS = {"_id", "id", "title", "text", "meta", "metadata"}


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of an imported corpus."""

    id: str
    title: str
    text: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Beir:
    """An opened BEIR folder. The corpus is read as a stream, the rest is small."""

    folder: Path
    queries: tuple[Query, ...]
    qrels: tuple[Qrel, ...]
    answers: tuple[tuple[str, str], ...]
    splits: tuple[Split, ...]

    def corpus(self) -> Iterator[Row]:
        """Rows of `corpus.jsonl`, in file order."""
        path = self.folder / "corpus.jsonl"
        for number, row in _json_lines(path):
            meta = row.get("meta", row.get("metadata")) or {}
            if not isinstance(meta, dict):
                raise InputError(f"{path}, line {number}: 'meta' must be an object.")
            extra = {key: value for key, value in row.items() if key not in _CORPUS_KEYS}
            yield Row(_id(row, path, number), _text(row, "title"), _text(row, "text"), {**extra, **meta})


def read_beir(folder: Path) -> Beir:
    """Open a BEIR folder: corpus.jsonl, and if there are any queries.jsonl, qrels/*.tsv, answers.jsonl.

    A query belongs to the first of test, dev, train whose qrels name it, so that nothing is both trained on and tested.

    Raises:
        InputError: A file is missing or a line is broken; the message names file and line.
    """
    if not (folder / "corpus.jsonl").is_file():
        raise InputError(
            f"{folder} has no corpus.jsonl.", hint="a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/*.tsv"
        )
    by_split = {split: tuple(_read_qrels(folder / "qrels" / f"{split}.tsv")) for split in SPLITS}
    split_of: dict[str, Split] = {}
    for split in SPLITS:
        split_of.update(dict.fromkeys((qrel.query for qrel in by_split[split]), split))
    queries = []
    if (folder / "queries.jsonl").is_file():
        path = folder / "queries.jsonl"
        for number, row in _json_lines(path):
            name = _id(row, path, number)
            if name in split_of:
                meta = {key: value for key, value in row.items() if key not in ("_id", "id", "text")}
                queries.append(Query(name, _text(row, "text"), split_of[name], meta))
    known = {query.id for query in queries}
    qrels = tuple(
        qrel for split in SPLITS for qrel in by_split[split] if qrel.query in known and split_of[qrel.query] == split
    )
    answers: list[tuple[str, str]] = []
    if (folder / "answers.jsonl").is_file():
        for _, row in _json_lines(folder / "answers.jsonl"):
            if str(row.get("query_id")) in known:
                answers.append((str(row["query_id"]), _text(row, "answer")))
    return Beir(folder, tuple(queries), qrels, tuple(answers), tuple(s for s in SPLITS if by_split[s]))


def read_labels(path: Path) -> list[tuple[str, str, int]]:
    """Rows (question, source, grade) of a CSV or TSV table with the columns `question` and `source`.

    `source` is a path, or the id that a document was imported with; `grade` is optional and 1 if absent.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        sample = file.read(4096)
        file.seek(0)
        reader = csv.DictReader(file, delimiter="\t" if "\t" in sample.split("\n", 1)[0] else ",")
        names = {name.strip().lower(): name for name in reader.fieldnames or []}
        if "question" not in names or "source" not in names:
            raise InputError(
                f"{path} has the columns {', '.join(names) or 'none'}.",
                hint="a label table needs a header with `question` and `source` (and optionally `grade`)",
            )
        rows = []
        for number, row in enumerate(reader, 2):
            question, source = (row[names[key]] or "" for key in ("question", "source"))
            if question.strip() and source.strip():
                grade = (row[names["grade"]] or "1") if "grade" in names else "1"
                if not grade.strip().isdigit():
                    raise InputError(f"{path}, line {number}: the grade '{grade}' is not a whole number.")
                rows.append((question.strip(), source.strip(), int(grade)))
    return rows


def write_trec(path: Path, rankings: Mapping[str, Sequence[tuple[str, float]]], tag: str) -> None:
    """Write a TREC run file: `query Q0 document rank score tag`, scores strictly falling so that every tool agrees."""
    lines = []
    for query, ranking in rankings.items():
        for rank, (document, score) in enumerate(ranking, 1):
            lines.append(f"{_token(query)} Q0 {_token(document)} {rank} {score:.6f} {tag}\n")
    write_atomic(path, "".join(lines).encode())


def _token(name: str) -> str:
    """An id without white space, as the format needs it."""
    return name if not any(c.isspace() for c in name) else "_".join(name.split())


def _read_qrels(path: Path) -> Iterator[Qrel]:
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            parts = line.rstrip("\n").split("\t")
            if number == 1 and not parts[-1].strip().lstrip("-").isdigit():
                continue
            if not line.strip():
                continue
            if len(parts) == 4:  # TREC form: query, iteration, document, grade
                parts = [parts[0], parts[2], parts[3]]
            try:
                query, document, grade = parts
                value = int(grade)
            except ValueError:
                raise InputError(
                    f"{path}, line {number}: expected query-id, corpus-id and score with tabs between.",
                    hint="save the table as tab-separated text",
                ) from None
            if value > 0:
                yield Qrel(query, document, value)


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, line {number}: not valid JSON ({error}).") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number}: expected an object, found {type(row).__name__}.")
            yield number, row


def _id(row: Mapping[str, Any], path: Path, number: int) -> str:
    value = row.get("_id", row.get("id"))
    if value is None or str(value) == "":
        raise InputError(f"{path}, line {number}: there is no 'id' (or '_id').")
    return sys.intern(str(value))


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
