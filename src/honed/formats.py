"""Files that other tools read and write: BEIR folders, image packs, label tables, TREC run files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honed.errors import InputError
from honed.types import SPLITS, Qrel, Query, Split
from honed.workspace import write_atomic

_CORPUS_KEYS = {"_id", "id", "title", "text", "meta", "metadata"}
_ITEM_KEYS = {"_id", "id", "path", "caption", "split"}
_GROUPS_OF_TEN: tuple[Split, ...] = (*(("train",) * 7), "dev", *(("test",) * 2))


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
    queries, seen = [], set[str]()
    if (folder / "queries.jsonl").is_file():
        path = folder / "queries.jsonl"
        for number, row in _json_lines(path):
            name = _id(row, path, number)
            if name in seen:
                raise InputError(f"{path}, line {number}: the id '{name}' occurs twice.", hint="ids must be unique")
            seen.add(name)
            if name in split_of:
                meta = {key: value for key, value in row.items() if key not in ("_id", "id", "text")}
                queries.append(Query(name, _text(row, "text"), split_of[name], meta))
    query_ids = {query.id for query in queries}
    qrels = tuple(
        qrel
        for split in SPLITS
        for qrel in by_split[split]
        if qrel.query in query_ids and split_of[qrel.query] == split
    )
    answers: list[tuple[str, str]] = []
    if (folder / "answers.jsonl").is_file():
        for _, row in _json_lines(folder / "answers.jsonl"):
            if str(row.get("query_id")) in query_ids:
                answers.append((str(row["query_id"]), _text(row, "answer")))
    return Beir(folder, tuple(queries), qrels, tuple(answers), tuple(s for s in SPLITS if by_split[s]))


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of an image pack. `path` is as the pack states it, and need not be a picture, or there at all."""

    id: str
    path: str
    caption: str
    tags: tuple[str, ...]
    group: str
    variant: str
    split: Split
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pack:
    """An opened image pack: a folder with pictures and a table that says what each shows."""

    folder: Path
    items: tuple[Item, ...]


def is_pack(folder: Path) -> bool:
    """Whether a folder is an image pack and no corpus of text."""
    return (folder / "items.jsonl").is_file() and not (folder / "corpus.jsonl").is_file()


def read_pack(folder: Path) -> Pack:
    """Open an image pack: items.jsonl {id, path, caption, tags, group, variant, split, ...} and splits/*.txt, if there are any.

    Pictures of one group show the same thing, so a group is in one split: the strictest (test before dev before train) that
    a list in `splits/` or one of its items names. A group without any gets one of seven, one, two tenths by its name.

    Raises:
        InputError: The table is missing or a line is broken; the message names file and line.
    """
    path = folder / "items.jsonl"
    if not path.is_file():
        raise InputError(f"{folder} has no items.jsonl.", hint="an image pack holds items.jsonl and images/")
    rows: list[tuple[str, dict[str, Any]]] = []
    for number, row in _json_lines(path):
        if not _text(row, "path"):
            raise InputError(f"{path}, line {number}: there is no 'path'.", hint="give each picture's path in the pack")
        rows.append((_id(row, path, number), row))
    splits = _group_splits(folder, [(str(row.get("group") or ""), row.get("split")) for _, row in rows])
    return Pack(folder, tuple(_item(name, row, splits) for name, row in rows))


def _item(name: str, row: Mapping[str, Any], splits: Mapping[str, Split]) -> Item:
    tags = row.get("tags") or ()
    words = tags.split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else ()
    group = str(row.get("group") or "")
    return Item(
        id=name,
        path=_text(row, "path"),
        caption=" ".join(_text(row, "caption").split()),
        tags=tuple(" ".join(str(word).split()) for word in words if str(word).strip()),
        group=group,
        variant=str(row.get("variant") or ""),
        split=splits.get(group, "train"),
        meta={key: value for key, value in row.items() if key not in _ITEM_KEYS},
    )


def _group_splits(folder: Path, named: Sequence[tuple[str, Any]]) -> dict[str, Split]:
    splits: dict[str, set[str]] = {group: set() for group, _ in named if group}
    for group, split in named:
        if group:
            splits[group].add(str(split))
    for split in SPLITS:
        listed = folder / "splits" / f"{split}.txt"
        for _, line in _lines(listed) if listed.is_file() else ():
            if line.strip() in splits:
                splits[line.strip()].add(split)
    return {
        group: next((split for split in reversed(SPLITS) if split in names), _GROUPS_OF_TEN[_digit(group)])
        for group, names in splits.items()
    }


def _digit(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 10


@dataclass(frozen=True, slots=True)
class PictureLabel:
    """A row of a table of pictures: which group a picture belongs to; none if that is empty."""

    image: str
    group: str
    split: Split | None = None
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """What a label table holds: questions (question, source, grade), or pictures, never both."""

    questions: tuple[tuple[str, str, int], ...] = ()
    pictures: tuple[PictureLabel, ...] = ()


def read_labels(path: Path) -> Labels:
    """A CSV or TSV table with the columns `question` and `source`, or `image` and `group`.

    `source` and `image` are a path, or the id that a document was imported with. Optional are `grade` (1 if absent), and
    `split` and `variant`.

    Raises:
        InputError: It is another table, or a line is broken; the message names file and line.
    """
    rows = list(_table(path))
    columns = set(rows[0][1])
    if columns and len(rows) == 1:
        raise InputError(f"{path} has a header and no lines.", hint="a line for each question, or for each picture")
    if {"question", "source"} <= columns:
        questions = ((row["question"], row["source"], _grade(path, line, row)) for line, row in rows[1:])
        return Labels(questions=tuple(row for row in questions if row[0] and row[1]))
    if {"image", "group"} <= columns:
        pictures = (
            PictureLabel(row["image"], row["group"], _split(path, line, row), row.get("variant", ""))
            for line, row in rows[1:]
        )
        return Labels(pictures=tuple(label for label in pictures if label.image))
    raise InputError(
        f"{path} has the columns {', '.join(sorted(columns)) or 'none'}.",
        hint="a label table needs a header with `question` and `source` (optionally `grade`), or with `image` and `group` "
        "(optionally `split` and `variant`)",
    )


def _table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row; the header first, without cells."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", hint="save it as 'CSV UTF-8'") from error
    header = content.split("\n", 1)[0]
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=max(",;\t", key=header.count))
    try:
        names = {name.strip().lower(): name for name in reader.fieldnames or []}
        yield 1, dict.fromkeys(names, "")
        for row in reader:
            yield reader.line_num, {key: (row[name] or "").strip() for key, name in names.items()}
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}.", hint="look for a quotation mark that is not closed"
        ) from error


def _grade(path: Path, line: int, row: Mapping[str, str]) -> int:
    grade = row.get("grade") or "1"
    if not (grade.isascii() and grade.isdigit()):
        raise InputError(f"{path}, line {line}: the grade '{grade}' is not a whole number.")
    return int(grade)


def _split(path: Path, line: int, row: Mapping[str, str]) -> Split | None:
    given = row.get("split", "").lower()
    for split in SPLITS:
        if given == split:
            return split
    if given:
        raise InputError(f"{path}, line {line}: there is no split '{given}'.", hint="splits are: train, dev, test")
    return None


def write_trec(path: Path, rankings: Mapping[str, Sequence[tuple[str, float]]], tag: str) -> None:
    """Write a TREC run file: `query Q0 document rank score tag`, scores strictly falling so that every tool agrees.

    Tools sort by score and break ties by document id, so a score that is not below the one before it is lowered.

    Raises:
        InputError: The path is a folder, or two ids differ in nothing but their white space, which the format cannot hold.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder.", hint="give the name of a file")
    _tell_apart(rankings)
    lines = []
    for query, ranking in rankings.items():
        last = math.inf
        for rank, (document, score) in enumerate(ranking, 1):
            last = min(round(score, 6), last - 1e-6)
            lines.append(f"{_token(query)} Q0 {_token(document)} {rank} {last:.6f} {tag}\n")
    data = "".join(lines).encode()
    if path.exists() and not path.is_file():  # a pipe or a terminal, such as /dev/stdout
        path.write_bytes(data)
    else:
        write_atomic(path.resolve(), data)


def _tell_apart(rankings: Mapping[str, Sequence[tuple[str, float]]]) -> None:
    """Raise if two queries, or two documents, would be written as one."""
    for names in (set(rankings), {document for ranking in rankings.values() for document, _ in ranking}):
        written: dict[str, str] = {}
        for name in names:
            earlier = written.setdefault(_token(name), name)
            if earlier != name:
                raise InputError(
                    f"A TREC file cannot tell the ids '{earlier}' and '{name}' apart.",
                    hint="ids there have no white space: rename one and import again",
                )


def _token(name: str) -> str:
    """An id without white space, as the format needs it."""
    return name if not any(c.isspace() for c in name) else "_".join(name.split())


def _read_qrels(path: Path) -> Iterator[Qrel]:
    if not path.is_file():
        return
    for number, line in _lines(path):
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


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    with path.open(encoding="utf-8-sig") as file:
        try:
            for number, line in enumerate(file, 1):
                yield number, line
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text (after line {number}).", hint="save it as UTF-8") from error


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            # NaN and Infinity are Python's, not JSON's; SQLite refuses to look into an object that holds them.
            row = json.loads(line, parse_constant=lambda _: None)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not valid JSON ({error}).") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}, line {number}: expected an object, found {type(row).__name__}.")
        yield number, _encodable(row) if "\\ud" in line.lower() else row


def _encodable(value: Any) -> Any:
    """A value whose texts hold no half of a surrogate pair: those have no UTF-8."""
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _id(row: Mapping[str, Any], path: Path, number: int) -> str:
    value = row.get("_id", row.get("id"))
    if value is None or str(value) == "":
        raise InputError(f"{path}, line {number}: there is no 'id' (or '_id').")
    return sys.intern(str(value))


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
