"""E-mail: the headers that people read, the text or else the HTML, and the names of the attachments."""

from __future__ import annotations

import email
from dataclasses import replace
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from functools import partial
from typing import BinaryIO

from honed.ingest.codes import Refused
from honed.ingest.outline import Outline
from honed.ingest.parse import Job
from honed.ingest.parse.captions import readable
from honed.ingest.parse.figures import Figures
from honed.ingest.parse.html import parse_markup
from honed.ingest.parse.plain import parse_text
from honed.ingest.parse.preloading import import_all
from honed.ingest.parse.text import decode
from honed.types import Block, Parsed

_SHOWN = ("From", "To", "Cc", "Date")
_MOST_BYTES = 64 << 20
_MOST_PARTS = 500
_MOST_HEADER_BYTES = 256 << 10


def preload(_job: Job) -> None:
    """Import what parsing would import later."""
    import_all(email)
    sample = b"Subject: =?utf-8?q?a?=\nTo: a@b.c\nDate: Mon, 1 Jan 2024 00:00:00 +0000\nContent-Type: text/plain\n\na"
    message = BytesParser(policy=policy.default).parsebytes(sample)
    [str(value) for value in message.values()]


def parse(source: BinaryIO, job: Job) -> Parsed:
    """A block of headers, then the body under the subject; attachments are named, not read."""
    data = source.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise Refused("too-big", f"more than {_MOST_BYTES >> 20} MB of e-mail")
    if data.lower().count(b"\ncontent-type:") > _MOST_PARTS:
        raise Refused("nesting", f"more than {_MOST_PARTS} parts")
    if len(data.replace(b"\r\n", b"\n").partition(b"\n\n")[0]) > _MOST_HEADER_BYTES:
        raise Refused("bomb", "the headers are larger than 256 KB")
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    outline = Outline()
    subject = _header(message, "Subject")
    outline.heading(1, subject)
    outline.add("\n".join(f"{name}: {value}" for name in _SHOWN if (value := _header(message, name))))
    blocks = (*outline.finish(), *_body(message, job, subject))
    names = [name for part in message.iter_attachments() if (name := part.get_filename())]
    if names:
        blocks = (*blocks, Block(f"Attachments: {', '.join(names)}", (subject,) if subject else ()))
    figures = Figures(job)
    for number, part in enumerate(part for part in message.walk() if part.get_content_maintype() == "image"):
        name = part.get_filename() or ""
        alt = readable(name.rpartition(".")[0] or name)
        figures.add(partial(_payload, part), name=str(number), place=len(blocks), alt=alt)
    meta = {"attachments": names} if names else {}
    return Parsed(subject or job.stem, blocks, job.media_type, {**meta, **figures.meta()}, media=figures.finish(blocks))


def _body(message: EmailMessage, job: Job, subject: str) -> list[Block]:
    part = message.get_body(preferencelist=("plain", "html"))
    if part is None:
        return []
    text = _decoded(_payload(part), part.get_content_charset("utf-8"))
    if not text.strip():
        return []
    job = replace(job, figures=False)  # pictures come as parts of their own
    read = parse_markup(text, job) if part.get_content_type() == "text/html" else parse_text(text, job)
    above = (subject,) if subject else ()
    return [Block(block.text, above + block.headings, block.kind, block.page) for block in read.blocks]


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded(data: bytes, charset: str) -> str:
    try:
        return data.decode(charset).replace("\r\n", "\n")
    except (LookupError, ValueError):
        return decode(data)


def _header(message: EmailMessage, name: str) -> str:
    """A decoded header on one line; one that cannot be decoded counts as absent."""
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError, TypeError):
        return ""
