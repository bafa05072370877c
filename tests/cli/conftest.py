"""The command line as a process sees it: arguments in, exit code, stdout and stderr out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from honed.cli import main

HASHED = 'embedder = "hash:256"\ngenerator = "extractive"\n'
"""Settings of a workspace that needs no model."""

TOPICS = ("anthrax", "botulism", "cholera", "dengue", "ebola", "flu", "gout", "hepatitis", "impetigo", "jaundice")
PARTS = ("symptoms", "treatment", "causes", "prevention", "diagnosis", "history")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout as the one JSON object that it must be."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)


Honed = Callable[..., Result]


@pytest.fixture
def honed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Honed:
    """Runs the entry point in this process."""
    monkeypatch.setenv("HONED_PROGRESS", "1")

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["honed", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        return Result(int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace with the hashing embedder; it is the current folder."""
    root = tmp_path / "ws"
    root.mkdir()
    (root / "honed.toml").write_text(HASHED)
    monkeypatch.chdir(root)
    return root


def write_pack(folder: Path) -> Path:
    """A BEIR folder: 60 documents in ten topics, a question for each, splits by topic."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    corpus, queries = [], []
    qrels: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for place, topic in enumerate(TOPICS):
        split = "train" if place < 5 else "dev" if place < 7 else "test"
        for part in PARTS:
            name = f"{topic}/{part}"
            text = f"The {part} of {topic} are told here, together with whatever else belongs to {part}."
            corpus.append({"_id": name, "title": f"{topic} {part}", "text": text, "meta": {"topic": topic}})
            queries.append({"_id": f"q {name}", "text": f"what are the {part} of {topic}?"})
            qrels[split].append(f"q {name}\t{name}\t1\n")
    for file, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return write_pack(tmp_path / "pack")


@pytest.fixture
def imported(honed: Honed, workspace: Path, pack: Path) -> Path:
    """A workspace that holds the pack."""
    assert honed("import", pack).code == 0
    return workspace
