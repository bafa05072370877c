"""The pages say what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_of_files_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, ROOT / "docs" / "tree.py", "--check"], check=False)
    assert done.returncode == 0, "python docs/tree.py"


def test_every_benchmark_that_the_readme_names_is_there_with_its_result() -> None:
    named = set(re.findall(r"python (benchmarks/[\w/]+\.py)", (ROOT / "README.md").read_text()))
    assert len(named) >= 5
    missing = [
        name for name in named if not (ROOT / name).is_file() or not (ROOT / name).with_name("RESULTS.md").is_file()
    ]
    assert not missing


def test_links_between_pages_lead_somewhere() -> None:
    for page in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/log.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
