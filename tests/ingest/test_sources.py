from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest

from honed.errors import InputError
from honed.ingest.sources import find_sources, media_type, sha256_of
from tests.ingest.packages import docx, package, paragraph, pptx, shape, text_pdf, xlsx


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def names(folder: Path, *paths: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_sources(paths)]


def test_files_are_found_sorted_and_once(tmp_path: Path) -> None:
    tree(tmp_path, "b.txt", "a/c.txt", "a/b/d.txt", "z.txt")
    assert names(tmp_path, tmp_path, tmp_path / "b.txt", tmp_path / "a") == ["a/b/d.txt", "a/c.txt", "b.txt", "z.txt"]


def test_hidden_files_and_folders_are_skipped_unless_named(tmp_path: Path) -> None:
    tree(tmp_path, ".git/config", ".hidden.txt", "seen.txt")
    assert names(tmp_path, tmp_path) == ["seen.txt"]
    assert names(tmp_path, tmp_path / ".hidden.txt") == [".hidden.txt"]


def test_pipes_and_sockets_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, "seen.txt")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path may be 108 bytes long
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        assert names(tmp_path, tmp_path) == ["seen.txt"]


def test_links_that_leave_the_tree_are_skipped(tmp_path: Path) -> None:
    tree(tmp_path, "outside.txt", "in/real.txt", "in/sub/x.txt")
    inside = tmp_path / "in"
    (inside / "out.txt").symlink_to(tmp_path / "outside.txt")
    (inside / "alias.txt").symlink_to(inside / "real.txt")
    (inside / "loop").symlink_to(inside)
    (inside / "gone.txt").symlink_to(inside / "nothing")
    assert [path.resolve().name for path in find_sources([inside])] == ["real.txt", "x.txt"]


@pytest.mark.parametrize("name", ["missing", "missing/below"])
def test_a_missing_path_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        list(find_sources([tmp_path / name]))


def test_a_device_is_an_error() -> None:
    with pytest.raises(InputError, match="neither"):
        list(find_sources([Path("/dev/null")]))


def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * 3_000_001)
    assert sha256_of(path) == hashlib.sha256(b"x" * 3_000_001).hexdigest()


OOXML = "application/vnd.openxmlformats-officedocument."
GERMAN = "Grüße aus Köln"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pdf", text_pdf([(12, 700, "x")]), "application/pdf"),
        ("a.txt", b"junk before\n%PDF-1.4", "application/pdf"),
        ("a.docx", docx(paragraph("x")), OOXML + "wordprocessingml.document"),
        ("a.bin", xlsx(""), OOXML + "spreadsheetml.sheet"),
        ("a.zip", pptx(shape("x")), OOXML + "presentationml.presentation"),
        ("a.docx", package({"x": "y"}), "application/zip"),
        ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "application/x-ole-storage"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n" + bytes(99), "image/png"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + bytes(99), "image/jpeg"),
        ("a", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("a.bmp", b"BM\0\0\0\0\0\0\0\0" + bytes(99), "image/bmp"),
        ("a.txt", b"BMW and other cars", "text/plain"),
        ("a.html", b"<p>Hello</p>", "text/html"),
        ("a.html", b"no tags at all", "text/plain"),
        ("a.txt", b"\n <!-- x --><!DOCTYPE html><title>t</title>", "text/html"),
        ("a.md", b"<!DOCTYPE html> in Markdown", "text/markdown"),
        ("a.xml", b"<?xml version='1.0'?><a/>", "application/xml"),
        ("a.txt", b"<?xml version='1.0'?><svg/>", "image/svg+xml"),
        ("a.rst", b"Title\n=====\n", "text/x-rst"),
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("a.tsv", b"a\tb\n", "text/tab-separated-values"),
        ("a.jsonl", b'{"a": 1}\n', "application/jsonl"),
        ("a.jsonl", b"not json", "text/plain"),
        ("a.json", b"[1]", "application/json"),
        ("a.eml", b"From: a@b.c\n\nx", "message/rfc822"),
        ("a.eml", b"no headers here", "text/plain"),
        ("a.log", GERMAN.encode("utf-16"), "text/plain"),
        ("a.log", (GERMAN * 9).encode("utf-16-le"), "text/plain"),
        ("a.log", GERMAN.encode("latin-1"), "text/plain"),
        ("a.log", b"\xef\xbb\xbf" + GERMAN.encode(), "text/plain"),
        ("a.txt", bytes(range(256)), "application/octet-stream"),
        ("a.txt", b"\x7fELF\x01\x02\x03", "application/octet-stream"),
        ("a.rtf", b"{\\rtf1 hello}", "application/rtf"),
        ("empty", b"", "text/plain"),
    ],
)
def test_media_type(name: str, content: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert media_type(path) == expected
