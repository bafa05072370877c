"""Why a source is not taken: one literal table, code to a sentence and its remedy."""

from __future__ import annotations

import errno

from honed.models.painter.provenance import KEYWORD
from honed.types import Parsed, Rejection

CODES: dict[str, str] = {
    "binary": "The file is neither text nor a document format that is read. Leave it out, or export it as PDF or text.",
    "bomb": "The file unfolds into far more data than its size says. Open it, save it anew, and add the new file.",
    "corrupt": "The file is damaged or not what its name says. Open it in its program and save it again.",
    "crash": "The parser of this format crashed on the file. Convert it to another format, for example PDF to DOCX.",
    "empty": "The file holds neither text nor pictures. Leave it out.",
    "encrypted": "The file is encrypted. Save a copy without a password and add that.",
    "generated": "The picture was drawn by an image generator of Honed and proves nothing. Leave it out of what is added.",
    "machine": "The machine was short of memory, processes or open files. Repeat the command, which reads the file then.",
    "memory": "Parsing needed more memory than is allowed. Split the file, or raise the memory limit.",
    "no-text": "No text was recognised in the images of the file. Add a sharper scan or a version with text.",
    "nesting": "The structure of the file is nested too deeply. Export it in a simpler format.",
    "ocr-missing": "The file is a scan, and text recognition is not installed. pip install 'honed[ocr]'",
    "output": "The file holds more text than one document may have. Split it.",
    "timeout": "Parsing took longer than is allowed. Split the file, or raise the time limit.",
    "too-big": "The file is larger than the limit. Split it, or raise the size limit.",
    "unreadable": "The file could not be opened. Check that it exists and that you may read it.",
    "unsupported": "This format is not read. Convert it to PDF, DOCX, HTML, Markdown, text, PNG or JPEG.",
    "xml-entities": "The file declares XML entities, which documents do not need and attacks do. Save it anew.",
}
"""Each sentence says what is wrong; what follows it says what to do."""


MACHINE = "machine"
"""The one code that says nothing of the file: it is never recorded."""

_SHORTAGES = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Refused(Exception):
    """Raised by a parser to end with a code of `CODES` and a detail for the user."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


def rejection(code: str, detail: str = "") -> Rejection:
    """The rejection for a code: its sentence with the detail in brackets as reason, its remedy as hint.

    Raises:
        KeyError: The code is not in `CODES`.
    """
    reason, _, remedy = CODES[code].partition(". ")
    detail = " ".join(detail.split())[:300]
    return Rejection(code, f"{reason} ({detail})." if detail else f"{reason}.", remedy)


def not_opened(error: OSError) -> Rejection:
    """The rejection for a file that could not be opened, which is the machine's fault if that is short of something."""
    return rejection(MACHINE if error.errno in _SHORTAGES else "unreadable", error.strerror or str(error))


def as_evidence(outcome: Parsed | Rejection) -> Parsed | Rejection:
    """What the sandbox gave, unless it is a picture that says that a generator of ours drew it: that is no evidence.

    The sandbox notes it in the metadata and does not refuse the file, because searching *with* a drawing is allowed.
    """
    drawn = isinstance(outcome, Parsed) and KEYWORD in outcome.meta
    return rejection("generated") if drawn else outcome
