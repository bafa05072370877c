"""`honed add` from end to end: a folder of many formats, then what people do to folders."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Honed
from tests.ingest.packages import text_pdf
from tests.ingest.shortage import interpreter_without


def fill(folder: Path) -> dict[str, str]:
    """Write a dozen files; returns file name -> words that only this file holds."""
    from docx import Document
    from openpyxl import Workbook
    from pptx import Presentation

    def text(name: str, content: str) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")

    text("note.txt", "The aardvark digs at night.")
    text("guide.md", "# Animals\n\n## Badgers\n\nThe badger lives in a sett.\n")
    text("page.html", "<html><head><title>Camels</title></head><body><p>The camel stores fat.</p></body></html>")
    text("table.csv", "animal,food\ndolphin,squid\neagle,salmon\n")
    text("table.tsv", "animal\tlegs\nmillipede\t200\n")
    text("rows.jsonl", '{"title": "Falcons", "text": "The falcon dives fast."}\n')
    text("manual.rst", "Geckos\n======\n\nThe gecko climbs on glass.\n")
    text("mail.eml", "From: a@example.org\nSubject: Hippos\n\nThe hippo yawns in the river.\n")
    text("unter ordner/größe.txt", "Der Igel überwintert im Laubhaufen.")
    (folder / "paper.pdf").write_bytes(text_pdf([(14, 700, "The jaguar swims across rivers.")]))
    document = Document()
    document.add_heading("Koalas", 1)
    document.add_paragraph("The koala eats eucalyptus.")
    document.save(str(folder / "letter.docx"))
    book = Workbook()
    book.active.append(["animal", "speed"])
    book.active.append(["lemming", "slow"])
    book.save(folder / "numbers.xlsx")
    slides = Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Moles"
    slide.placeholders[1].text = "The mole has velvet fur."
    slides.save(str(folder / "talk.pptx"))
    (folder / "program.bin").write_bytes(bytes(range(256)) * 16)
    (folder / ".hidden.txt").write_text("never read")
    return {
        "note.txt": "aardvark digs", "guide.md": "badger sett", "page.html": "camel stores fat",
        "table.csv": "dolphin squid", "table.tsv": "millipede 200", "rows.jsonl": "falcon dives",
        "manual.rst": "gecko climbs glass", "mail.eml": "hippo yawns river", "größe.txt": "Igel überwintert Laubhaufen",
        "paper.pdf": "jaguar swims rivers", "letter.docx": "koala eucalyptus", "numbers.xlsx": "lemming slow",
        "talk.pptx": "mole velvet fur",
    }  # fmt: skip


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


COUNTS = ("new", "changed", "renamed", "removed", "unchanged")


def add(honed: Honed, *paths: object) -> tuple[int, ...]:
    result = honed("add", *paths, "--json")
    assert result.code == 0, result.err
    return tuple(result.json[name] for name in COUNTS)


def best(honed: Honed, words: str) -> str:
    """Name of the file that a search finds first; "" for none that holds the first word."""
    hits = honed("search", words, "-k", "1", "--json").json["hits"]
    held = hits and words.split()[0].lower() in (hits[0]["title"] + hits[0]["text"]).lower()
    return Path(hits[0]["source"]).name if held else ""


def test_a_folder_of_many_formats_and_what_becomes_of_it(honed: Honed, workspace: Path, docs: Path) -> None:
    words = fill(docs)
    first = honed("add", docs, "--json")
    assert first.code == 0, first.err
    assert first.json["new"] == len(words)
    assert first.json["rejected"] == {str(docs / "program.bin"): "binary"}
    assert "skipped" in first.err
    assert {name: best(honed, text) for name, text in words.items()} == {name: name for name in words}
    assert add(honed, docs) == (0, 0, 0, 0, len(words) + 1)

    (docs / "note.txt").write_text("The zebra grazes at noon.")
    (docs / "guide.md").rename(docs / "moved guide.md")
    (docs / "paper.pdf").unlink()
    (docs / "extra.txt").write_text("The narwhal has a tusk.")
    (docs / "program.bin").write_text("The ocelot was mended.")
    told = honed("add", docs, "--json")
    assert tuple(told.json[name] for name in COUNTS) == (1, 2, 1, 1, len(words) - 3)
    assert told.json["rejected"] == {}
    assert "embedded 3 passages" in told.err, "a renamed file is not embedded again"
    assert best(honed, "zebra grazes") == "note.txt"
    assert best(honed, "badger sett") == "moved guide.md"
    assert best(honed, "narwhal tusk") == "extra.txt"
    assert best(honed, "ocelot mended") == "program.bin"
    assert best(honed, "aardvark digs") == ""
    assert best(honed, "jaguar swims rivers") == ""

    status = honed("status", "--json").json
    assert (status["documents"], status["skipped"]) == (len(words) + 1, {})
    assert honed("doctor").code == 0


def test_everything_removed_is_gone_from_search_and_from_every_file(honed: Honed, workspace: Path, docs: Path) -> None:
    fill(docs)
    add(honed, docs)
    secret = docs / "secret.txt"
    secret.write_text("The xylophone of Quetzalcoatl is hidden.")
    add(honed, secret)
    assert best(honed, "xylophone") == "secret.txt"
    secret.unlink()
    assert add(honed, secret) == (0, 0, 0, 1, 0)
    assert best(honed, "xylophone") == ""
    assert honed("compact").code == 0
    for path in workspace.rglob("*"):
        if path.is_file():
            content = path.read_bytes().lower()
            assert b"xylophone" not in content, path
            assert b"quetzalcoatl" not in content, path


def test_an_emptied_workspace_answers_with_nothing(honed: Honed, workspace: Path, docs: Path) -> None:
    (docs / "a.txt").write_text("The only text.")
    add(honed, docs)
    (docs / "a.txt").unlink()
    assert add(honed, docs) == (0, 0, 0, 1, 0)
    assert honed("search", "text", "--json").json["hits"] == []
    assert honed("ask", "What is the only text?", "--json").json["refused"] is True
    assert honed("doctor").code == 0
    (docs / "b.txt").write_text("Another text.")
    assert add(honed, docs)[0] == 1
    assert best(honed, "another text") == "b.txt"


def test_labels_on_added_files(honed: Honed, workspace: Path, docs: Path, tmp_path: Path) -> None:
    words = fill(docs)
    add(honed, docs)
    table = tmp_path / "labels.csv"
    lines = [f"where is {text}?,{name}" for name, text in words.items()]
    table.write_text("question,source\n" + "\n".join(lines) + "\n", encoding="utf-8")
    assert honed("label", table, "--json").json["questions"] == len(words)
    before = honed("status", "--json").json
    (docs / "note.txt").rename(docs / "renamed.txt")
    add(honed, docs)
    after = honed("status", "--json").json
    assert (after["queries"], after["qrels"]) == (before["queries"], before["qrels"])
    assert json.loads(honed("doctor", "--json").out)


def test_a_refused_filter_is_loud(
    honed: Honed, workspace: Path, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "note.txt").write_text("The aardvark digs at night.")
    with monkeypatch.context() as machine:
        machine.setattr(sys, "executable", interpreter_without(tmp_path, seccomp=True, landlock=True))
        refused = honed("add", docs)
        assert (refused.code, refused.out) == (4, "")
        assert "error: Nothing was parsed" in refused.err and 'sandbox = "optional"' in refused.err
        assert "seccomp (Operation not permitted)" in honed("doctor").out
        assert honed("doctor").code == 1
        machine.setenv("HONED_SANDBOX", "optional")
        parsed = honed("add", docs, "--json")
        assert (parsed.code, parsed.json["new"]) == (0, 1)
        assert "less protection" in parsed.err and "no seccomp" in parsed.err
        assert parsed.json["protection"]["seccomp"] is False
    assert honed("doctor").code == 0
    assert honed("add", docs, "--json").json["protection"] is None, "nothing had to be parsed"


def test_refused_landlock_is_told_while_the_filter_goes_on_protecting(
    honed: Honed, workspace: Path, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "note.txt").write_text("The aardvark digs at night.")
    monkeypatch.setattr(sys, "executable", interpreter_without(tmp_path, landlock=True))
    result = honed("add", docs, "--json")
    assert (result.code, result.json["new"]) == (0, 1)
    assert result.json["protection"]["refused"] == ["Landlock (Operation not permitted)"]
    assert "refused: Landlock (Operation not permitted)" in result.err
    assert honed("doctor").code == 1


def test_a_machine_without_processes_to_spare_is_told_and_the_next_add_reads_the_files(
    honed: Honed, workspace: Path, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "note.txt").write_text("The aardvark digs at night.")
    with monkeypatch.context() as machine:
        machine.setattr(sys, "executable", interpreter_without(tmp_path, processes=True))
        short = honed("add", docs)
        assert short.code == 4
        assert "The parser process did not start" in short.err and "repeat the command" in short.err
    assert add(honed, docs) == (1, 0, 0, 0, 0)


def test_what_was_skipped_is_said_again(honed: Honed, workspace: Path, docs: Path) -> None:
    (docs / "note.txt").write_text("The aardvark digs at night.")
    (docs / "program.bin").write_bytes(bytes(range(256)) * 16)
    assert "skipped" in honed("add", docs).err
    assert f"still skipped {docs / 'program.bin'}: [binary]" in honed("add", docs).err
    for number in range(9):
        (docs / f"program{number}.bin").write_bytes(bytes(range(256)) * (17 + number))
    honed("add", docs)
    assert "still skipped 10 files: 10 binary" in honed("add", docs).err
