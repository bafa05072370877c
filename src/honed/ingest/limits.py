"""What one parse may use. The numbers are the promise: a hostile file ends within 5 seconds and 512 MB."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one sandboxed parse.

    Attributes:
        wall_seconds: Real time. Stretched up to twentyfold while the parse gets less than half a core, so that a busy
            machine rejects no honest file.
        cpu_seconds: Processor time, whole seconds.
        memory_bytes: Memory beyond the warm server's libraries, which are shared and not counted twice.
        file_bytes: Size of the source.
        output_bytes: Size of the results: JSON, and the pixels of pictures.
        blocks: Paragraphs, lists and tables of one parse.
        pages: Pages of one document; long documents are read in several parses, each within these limits.
    """

    wall_seconds: float = 4.5
    cpu_seconds: int = 4
    memory_bytes: int = 512 * MIB
    file_bytes: int = 256 * MIB
    output_bytes: int = 64 * MIB
    blocks: int = 250_000
    pages: int = 20_000


MOST_DOCUMENTS = 32
"""That one fork may be given; it may have 64 files open."""

PARSE_LIMITS = Limits()
OCR_LIMITS = Limits(wall_seconds=60.0, cpu_seconds=60, memory_bytes=2048 * MIB)
