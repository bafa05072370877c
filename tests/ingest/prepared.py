"""Parse one file a format, each in a process that only its own format was prepared in, and print what is imported or opened.

`python -m tests.ingest.prepared FOLDER`: nothing that reads documents may be imported here, so that no format prepares another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from honed.ingest.codes import Refused
from honed.ingest.confine import confine
from honed.ingest.limits import PARSE_LIMITS
from honed.ingest.parse import Job, read
from honed.ingest.parse.preloading import prepare


def write_documents(folder: Path) -> None:
    """Honest files with pictures and dates in them, and the quick ones of the hostile corpus."""
    from tests.cli.test_add import fill
    from tests.ingest.draw import data, waves
    from tests.ingest.hostile import CASES

    fill(folder)
    picture = waves(1, 400, 300)
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"):
        (folder / f"picture.{kind.lower()}").write_bytes(data(picture, kind))
    (folder / "packed.tiff").write_bytes(data(picture, "TIFF", compression="tiff_lzw"))
    (folder / "drawing.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><title>A</title><text>b</text></svg>')
    for case in CASES:
        if case.quick:
            case.write(folder)


def in_a_child(action: Callable[[], object]) -> None:
    pid = os.fork()
    if not pid:
        try:
            action()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(pid, 0)


def watch(path: Path) -> None:
    """Prepare, then tell of every import and every opening by path while a file is read for its text and its pictures."""
    from honed.ingest.sources import media_type

    job = Job(path.name, media_type(path))
    source = path.open("rb")
    allowed = {str(file) for file in prepare(job)}
    confine(PARSE_LIMITS, server=os.getppid(), readable=tuple(map(Path, allowed)))

    def tell(event: str, arguments: tuple[object, ...]) -> None:
        if event == "import" or (event == "open" and isinstance(arguments[0], str) and arguments[0] not in allowed):
            os.write(1, f"{path.name}: {event} {arguments[0]}\n".encode())

    sys.addaudithook(tell)
    for figures in (False, True):
        source.seek(0)
        with suppress(Refused, MemoryError, RecursionError, Exception):
            read(source, Job(path.name, job.media_type, figures=figures))


def main(folder: Path) -> None:
    in_a_child(lambda: write_documents(folder))
    for path in sorted(file for file in folder.iterdir() if file.is_file()):
        in_a_child(lambda path=path: watch(path))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
