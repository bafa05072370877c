"""From paths that a user gives to files that may be parsed, and what kind of file each one is."""

from __future__ import annotations

import codecs
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from honed.errors import InputError

_HEAD_BYTES = 1 << 16
_TAIL_BYTES = 1 << 20

_OOXML = "application/vnd.openxmlformats-officedocument."
_PACKAGES = (
    (b"word/document.xml", _OOXML + "wordprocessingml.document"),
    (b"ppt/presentation.xml", _OOXML + "presentationml.presentation"),
    (b"xl/workbook.xml", _OOXML + "spreadsheetml.sheet"),
)
_PICTURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heic",
}
_MAGIC = (
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
)
_TEXT_EXTENSIONS = {
    ".csv": "text/csv",
    ".eml": "message/rfc822",
    ".htm": "text/html",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".ndjson": "application/jsonl",
    ".rst": "text/x-rst",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values",
    ".xhtml": "text/html",
    ".xml": "application/xml",
}
_BYTE_ORDER_MARKS = (
    codecs.BOM_UTF8,
    codecs.BOM_UTF32_LE,
    codecs.BOM_UTF32_BE,
    codecs.BOM_UTF16_LE,
    codecs.BOM_UTF16_BE,
)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_HTML_START = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)
_XML_START = re.compile(rb"\s*<\?xml[\s]")
_HTML_TAG = re.compile(rb"</?[a-z][a-z0-9]*[\s>/]", re.I)
_HEADER_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:", re.I)


def find_sources(paths: Sequence[Path]) -> Iterator[Path]:
    """The regular files among and below the paths, sorted, each one once.

    Below a folder, hidden files and folders, sockets, devices and pipes are skipped, and so are symbolic links that lead
    out of the folder. A path that is given by name is taken as it is.

    Raises:
        InputError: A path does not exist, or is neither a file nor a folder.
    """
    seen: set[Path] = set()
    for given in sorted(paths):
        for path in _files_of(given):
            real = path.resolve()
            if real not in seen:
                seen.add(real)
                yield path


def _files_of(given: Path) -> Iterator[Path]:
    try:
        mode = given.stat().st_mode
    except OSError as error:
        raise InputError(f"{given}: {error.strerror or error}.", hint="Check the path for typing errors.") from error
    if stat.S_ISREG(mode):
        yield given
    elif stat.S_ISDIR(mode):
        yield from _walk(given, given.resolve())
    else:
        raise InputError(f"{given} is neither a file nor a folder.", hint="Give a file or a folder.")


def _walk(folder: Path, root: Path) -> Iterator[Path]:
    """Depth first, by name. Linked folders are not entered: what they hold inside the root is met there anyway."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            if path.is_file() and path.resolve().is_relative_to(root):
                yield path
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root)
        elif entry.is_file(follow_symlinks=False):
            yield path


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes as 64 hex digits, read in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def media_type(path: Path) -> str:
    """The media type by content; the extension only decides between kinds of text, and only where the content fits it.

    Reads at most the first 64 KiB and, of a ZIP, the last MiB. What is not recognised is "application/octet-stream".

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            return _package_type(head + file.read(_TAIL_BYTES))
    return _binary_type(head) or _text_type(head, path.suffix.lower())


def _package_type(content: bytes) -> str:
    return next((kind for part, kind in _PACKAGES if part in content), "application/zip")


def _binary_type(head: bytes) -> str:
    if b"%PDF-" in head[:1024]:
        return "application/pdf"
    return picture_type(head) or next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def picture_type(head: bytes) -> str:
    """The media type of a picture by its first bytes, empty for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "")
    kind = next((kind for magic, kind in _PICTURES if head.startswith(magic)), "")
    # "BM" also begins English text; a bitmap has zeros in its reserved words.
    return "" if kind == "image/bmp" and head[6:10] != b"\0\0\0\0" else kind


def _text_type(head: bytes, extension: str) -> str:
    if not is_text(head):
        return "application/octet-stream"
    plain = head.replace(b"\0", b"") if head.startswith(_BYTE_ORDER_MARKS[1:]) or b"\0" in head else head
    plain = re.sub(rb"^(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)+", b"", plain)
    wanted = _TEXT_EXTENSIONS.get(extension, "text/plain")
    if wanted in ("text/plain", "text/html", "application/xml") and _HTML_START.match(plain):
        return "text/html"
    if wanted in ("text/plain", "application/xml") and _XML_START.match(plain):
        return "image/svg+xml" if b"<svg" in plain[:4096] else "application/xml"
    return wanted if _fits(wanted, plain) else "text/plain"


def _fits(wanted: str, head: bytes) -> bool:
    if wanted == "text/html":
        return bool(_HTML_TAG.search(head))
    if wanted == "message/rfc822":
        return bool(_HEADER_LINE.match(head))
    if wanted in ("application/json", "application/jsonl"):
        return head.lstrip()[:1] in (b"{", b"[")
    if wanted == "image/svg+xml":
        return b"<svg" in head
    return True


def is_text(head: bytes) -> bool:
    """Whether bytes look like text in some encoding: hardly any control characters, NULs only as UTF-16 or UTF-32 has them."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return True
    if b"\0" in head:
        return _looks_like_utf16(head)
    return len(_CONTROL.findall(head)) <= len(head) // 200


def _looks_like_utf16(head: bytes) -> bool:
    """Latin text in UTF-16 without a mark: every other byte is NUL, and the ones between are printable."""
    even, odd = head[0::2], head[1::2]
    for zeros, letters in ((odd, even), (even, odd)):
        if zeros.count(0) >= 0.7 * len(zeros) and len(_CONTROL.findall(letters)) <= len(letters) // 50:
            return True
    return False
