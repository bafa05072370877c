"""Write ICD-10-CM, the US coding system for diagnoses, as a BEIR folder: python examples/icd10cm.py FOLDER

The classification is public domain and comes inside the package simple-icd-10-cm. A document is a code: its text is code and
description ("A18.01 Tuberculosis of spine"), its title the category that it belongs to. A query is an inclusion term, which is
what clinicians write ("Pott's disease or curvature of spine"); its judgement names the code. Inclusion terms are in no document.

Left out: chapters and blocks; all codes that take a seventh character (injuries and their causes, which list every site, side
and encounter); sixth characters (mostly the side). Left are about 19,000 codes and 8,700 terms.

Categories (three characters) are the unit of the split, 60/20/20, so no test term has a sibling code in train.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import simple_icd_10_cm as icd

SEED = 13
LONGEST = len("A18.01")
SPLITS = ("train", "dev", "test")


def kept_codes() -> list[str]:
    """The codes that become documents, in the order of the classification, each once: B10 is also a block of one category."""
    return [
        code
        for code in dict.fromkeys(icd.get_all_codes())
        if icd.is_category_or_subcategory(code)
        and len(code) <= LONGEST
        and not icd.get_seven_chr_def(code, search_in_ancestors=True)
    ]


def category(code: str) -> str:
    """A18 of A18.01."""
    return code[:3]


def split_of(code: str) -> str:
    """A category's split: a hash, so that another version of the classification moves nothing."""
    digest = hashlib.sha256(f"{SEED}:{category(code)}".encode()).digest()
    draw = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if draw < 0.6 else "dev" if draw < 0.8 else "test"


def documents(codes: Iterable[str]) -> list[dict[str, str]]:
    """One row of corpus.jsonl a code."""
    return [
        {"_id": code, "title": icd.get_description(category(code)), "text": f"{code} {icd.get_description(code)}"}
        for code in codes
    ]


def terms(codes: Iterable[str]) -> dict[str, list[str]]:
    """Inclusion term -> its codes, without terms that repeat a description or stand in more than one category."""
    found: dict[str, list[str]] = {}
    for code in codes:
        for term in icd.get_inclusion_term(code):
            if term.casefold() != icd.get_description(code).casefold():
                found.setdefault(term, []).append(code)
    return {term: named for term, named in found.items() if len({category(code) for code in named}) == 1}


def write(folder: Path) -> str:
    """Write the BEIR folder; returns a line that says what is in it."""
    codes = kept_codes()
    queries, qrels = [], {split: ["query-id\tcorpus-id\tscore"] for split in SPLITS}
    for number, (term, named) in enumerate(terms(codes).items()):
        name = f"{named[0]}-{number}"
        queries.append({"_id": name, "text": term})
        qrels[split_of(named[0])] += [f"{name}\t{code}\t1" for code in named]
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    write_lines(folder / "corpus.jsonl", documents(codes))
    write_lines(folder / "queries.jsonl", queries)
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    sizes = ", ".join(f"{len(lines) - 1:,} {split}" for split, lines in qrels.items())
    return f"{folder}: ICD-10-CM {release()}, {len(codes):,} codes, {len(queries):,} terms ({sizes})"


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def release() -> str:
    """The package's version stands for the yearly release inside it."""
    from importlib.metadata import version

    return f"from simple-icd-10-cm {version('simple-icd-10-cm')}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(write(Path(sys.argv[1])))
