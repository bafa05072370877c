"""Write docs/tree.md, every file in one line, from the first line of every module's docstring: `python docs/tree.py`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tree.md"
HEAD = "# Every file in one line\n\nWritten by `python docs/tree.py` from the modules' docstrings; a test holds it.\n"
OTHERS = {
    "benchmarks": "one folder a question, each with its command and RESULTS.md",
    "docs": "log of what was tried, this tree's writer, the picture of the report",
    "examples": "the demo: ICD-10-CM as a BEIR folder, and the main job command by command",
    "tests": "mirrors src/; tiny_model.py and toy.py make real models that train in seconds",
}


def first_line(path: Path) -> str:
    """What a module says of itself, in one line."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.split("\n\n")[0].replace("\n", " ").split(". ")[0].strip().rstrip(".")


def tree() -> str:
    """The tree as a fenced block."""
    lines = ["```text", "src/honed/"]
    package = ROOT / "src" / "honed"
    files = sorted(package.glob("*.py")) + sorted(package.glob("*/**/*.py"))
    for path in files:
        name = path.relative_to(package)
        if name.name == "__init__.py":
            if len(name.parts) > 1:
                lines.append(f"  {'  ' * (len(name.parts) - 2)}{name.parent.name + '/':<24}{first_line(path)}")
            continue
        indent = "  " * len(name.parts)
        lines.append(f"{indent}{name.name:<{26 - len(indent)}}{first_line(path)}")
    lines += [f"{name + '/':<26}{what}" for name, what in OTHERS.items()]
    return "\n".join([*(line[:150].rstrip() for line in lines), "```"])


def main() -> int:
    """Write the page; with --check only say whether it is up to date."""
    page = f"{HEAD}\n{tree()}\n"
    if "--check" in sys.argv:
        return int(not PAGE.is_file() or PAGE.read_text() != page)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
