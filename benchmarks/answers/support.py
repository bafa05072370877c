"""Where the threshold of `honed.answer.support` comes from: true sentences and eight ways of being wrong, train split.

    python benchmarks/answers/support.py PACKS [--sample 400]

Claims are sentences of medquad answers and of pubmedqa abstracts. True ones: as they stand, two thirds of them, two
sentences of a passage joined by "and". False ones: judged against another document (the best BM25 hit that shares less
than half of the claim's word triples, or a random one), or changed: another disease, another figure, a "not" more, one
ordinary word replaced by a random one. A row is the share that is accepted at each threshold.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from run import PACKS, WORDS, Pack

from honed.answer.sentences import split_sentences
from honed.answer.support import THRESHOLD, judge
from honed.types import Passage

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
SEED = 7


@dataclass(frozen=True)
class Trial:
    """A claim, the passage that it is held against, and whether the passage says it."""

    kind: str
    true: bool
    claim: str
    passage: Passage


def trials(pack: Pack, size: int, chance: random.Random) -> Iterator[Trial]:
    names = chance.sample(sorted(pack.train), min(size, len(pack.train)))
    passages = list(pack.passages.values())
    for name in names:
        gold = [pack.passages[passage] for passage in sorted(pack.gold[name])]
        source = pack.answers[name] if gold[0].title else gold[0].text  # a pubmedqa answer is no part of its abstract
        sentences = [sentence.text for sentence in split_sentences(source) if _usable(sentence.text)]
        if not sentences:
            continue
        claim = chance.choice(sentences)
        passage = max(gold, key=lambda candidate: judge(claim, candidate).score)
        yield from _true(claim, passage, chance)
        yield from _changed(claim, passage, passages, chance)
        yield Trial("random document", False, claim, chance.choice(passages))
        documents = {candidate.document for candidate in gold}
        for found in (pack.passages[hit] for hit in pack.search(claim, 20)):
            if found.document not in documents and _overlap(claim, found.text) < 0.5:
                yield Trial("nearest document", False, claim, found)
                break


def _usable(sentence: str) -> bool:
    return 8 <= len(WORDS.findall(sentence)) <= 45 and not sentence.endswith(("?", ":"))


def _overlap(claim: str, text: str) -> float:
    ours, theirs = (_triples(WORDS.findall(part.lower())) for part in (claim, text))
    return len(ours & theirs) / max(1, len(ours))


def _triples(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + 3]) for start in range(len(words) - 2)}


def _true(claim: str, passage: Passage, chance: random.Random) -> Iterator[Trial]:
    words = claim.split()
    yield Trial("verbatim", True, claim, passage)
    yield Trial("two thirds", True, " ".join(words[: max(6, 2 * len(words) // 3)]), passage)
    others = [s.text for s in split_sentences(passage.text) if s.text != claim and _usable(s.text)]
    if others:
        other = chance.choice(others).split()
        joined = " ".join([*words[: len(words) // 2], "and", *other[: len(other) // 2]])
        yield Trial("two joined", True, joined, passage)


def _changed(claim: str, passage: Passage, passages: list[Passage], chance: random.Random) -> Iterator[Trial]:
    at = claim.lower().find(passage.title.lower()) if passage.title else -1
    if at >= 0:
        title = chance.choice(passages).title.lower()
        if title not in passage.embedded_text.lower():
            changed = claim[:at] + title + claim[at + len(passage.title) :]
            yield Trial("another subject", False, changed, passage)
    figures = list(re.finditer(r"(?<![\w.])\d+(?:\.\d+)?", claim))
    if figures:
        figure = chance.choice(figures)
        value = str(int(float(figure.group())) + chance.randint(1, 9))
        yield Trial("another figure", False, claim[: figure.start()] + value + claim[figure.end() :], passage)
    verb = re.search(r"\b(?:is|are|was|were|can|may|has|have)\b ", claim)
    if verb and not re.search(r"\b(?:no|not|without|never|lack|absence)\b", claim):
        yield Trial("not added", False, f"{claim[: verb.end()]}not {claim[verb.end() :]}", passage)
    words = claim.split()
    places = [n for n, word in enumerate(words) if n and word.isalpha() and word.islower() and len(word) > 4]
    if places:
        vocabulary = [word for word in chance.choice(passages).text.split() if word.isalpha() and len(word) > 6]
        words[chance.choice(places)] = chance.choice(vocabulary or ["otherwise"])
        yield Trial("another word", False, " ".join(words), passage)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("packs", type=Path, help="folder that holds medquad/ and pubmedqa/")
    parser.add_argument("--sample", type=int, default=400)
    arguments = parser.parse_args()
    print(f"Share accepted; the threshold in use is {THRESHOLD}.\n")
    print("| pack | claim | n | " + " | ".join(f">= {value}" for value in THRESHOLDS) + " |")
    print("|" + "---|" * (3 + len(THRESHOLDS)))
    accepted: dict[bool, list[float]] = {True: [], False: []}
    for name in PACKS:
        found: dict[tuple[bool, str], list[float]] = {}
        for trial in trials(Pack(arguments.packs / name), arguments.sample, random.Random(SEED)):
            score = judge(trial.claim, trial.passage).score
            found.setdefault((trial.true, trial.kind), []).append(score)
            accepted[trial.true].append(score)
        for (true, kind), scores in sorted(found.items(), key=lambda item: (not item[0][0], item[0][1])):
            label = f"true: {kind}" if true else f"false: {kind}"
            print(f"| {name} | {label} | {len(scores)} | {_shares(scores)} |")
    for true, label in ((True, "all true (recall)"), (False, "all false")):
        print(f"| both | {label} | {len(accepted[true])} | {_shares(accepted[true])} |")


def _shares(scores: list[float]) -> str:
    return " | ".join(f"{sum(score >= value for score in scores) / len(scores):.3f}" for value in THRESHOLDS)


if __name__ == "__main__":
    main()
