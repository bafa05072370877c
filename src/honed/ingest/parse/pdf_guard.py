"""What pypdf, which has limits, finds about a PDF before pdfium, which has none, draws it."""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Any, BinaryIO

import pypdf
from pypdf.errors import LimitReachedError, PyPdfError
from pypdf.generic import StreamObject

from honed.ingest.codes import Refused

_MOST_CONTENT = 24 << 20
_MOST_DRAWN = 96 << 20
_DRAWS = re.compile(rb"/([^\s/\[\]()<>%]+)\s+Do\b")


class Guard:
    """Checks pages before they are drawn. A file that pypdf cannot read passes: then the sandbox is the guard."""

    def __init__(self, source: BinaryIO) -> None:
        self._weights: dict[int, int] = {}
        self._reader: pypdf.PdfReader | None = None
        try:
            reader = pypdf.PdfReader(source, strict=False)
            if not reader.is_encrypted or reader.decrypt(""):
                self._reader = reader
                self.pages = len(reader.pages)
        except LimitReachedError as error:
            raise Refused("bomb", str(error)) from error
        except RecursionError as error:
            raise Refused("nesting") from error
        except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, OSError):
            self._reader = None

    def check(self, index: int) -> None:
        """Measure what drawing a page would process: its content, and forms as often as they are drawn.

        Raises:
            Refused: `bomb`, `nesting`.
        """
        if self._reader is None:
            return
        try:
            page = self._reader.pages[index]
            contents = page.get("/Contents")
            weight = self._weight(_streams(contents), page.get("/Resources"), ())
        except LimitReachedError as error:
            raise Refused("bomb", f"page {index + 1}: {error}") from error
        except RecursionError as error:
            raise Refused("nesting", f"page {index + 1}") from error
        except (PyPdfError, ValueError, TypeError, KeyError, AttributeError, IndexError, OSError):
            return
        if weight > _MOST_DRAWN:
            raise Refused("bomb", f"page {index + 1} draws {min(weight >> 20, sys.maxsize)} MB of commands")

    def _weight(self, streams: list[StreamObject], resources: Any, above: tuple[int, ...]) -> int:
        """Bytes of drawing commands, counting those of a form each time that it is drawn."""
        data = b"\n".join(stream.get_data() for stream in streams)
        if len(data) > _MOST_CONTENT:
            raise LimitReachedError(f"{len(data) >> 20} MB of drawing commands")
        total = len(data)
        forms = _get(_get(resources, "/XObject"), None) or {}
        for name, count in Counter(_DRAWS.findall(data)).items():
            form = forms.raw_get("/" + name.decode("latin-1")) if hasattr(forms, "raw_get") else None
            total += count * self._form_weight(form, resources, above)
        return total

    def _form_weight(self, reference: Any, resources: Any, above: tuple[int, ...]) -> int:
        form = _get(reference, None)
        if not isinstance(form, StreamObject) or form.get("/Subtype") != "/Form":
            return 0
        key = getattr(reference, "idnum", id(form))
        if key in above:
            raise LimitReachedError("a form draws itself")
        if key not in self._weights:
            self._weights[key] = self._weight([form], form.get("/Resources", resources), (*above, key))
        return self._weights[key]


def _streams(contents: Any) -> list[StreamObject]:
    contents = _get(contents, None)
    items = contents if isinstance(contents, list) else [contents]
    return [stream for item in items if isinstance(stream := _get(item, None), StreamObject)]


def _get(value: Any, key: str | None) -> Any:
    """The object behind a reference, or behind a key of the dictionary behind it."""
    value = value.get_object() if hasattr(value, "get_object") else value
    if key is None:
        return value
    return _get(value.get(key), None) if hasattr(value, "get") else None
