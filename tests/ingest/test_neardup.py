from __future__ import annotations

import random

import numpy as np
import pytest

from honed.ingest.neardup import near_duplicates

WORDS = [f"w{number}" for number in range(5000)]


def text(source: random.Random, length: int = 120) -> str:
    return " ".join(source.choices(WORDS, k=length))


def changed(words: str, source: random.Random, count: int) -> str:
    parts = words.split()
    for at in source.sample(range(len(parts)), count):
        parts[at] = source.choice(WORDS)
    return " ".join(parts)


def test_labels_are_the_smallest_index_of_a_cluster() -> None:
    source = random.Random(1)
    a, b = text(source), text(source)
    assert near_duplicates([a, b, changed(a, source, 1), b.upper() + "!", ""]) == [0, 1, 0, 1, 4]


def test_unlike_texts_stay_apart() -> None:
    source = random.Random(2)
    texts = [text(source) for _ in range(300)]
    assert near_duplicates(texts) == list(range(300))


def test_the_threshold_parts_light_from_heavy_editing() -> None:
    source = random.Random(3)
    originals = [text(source) for _ in range(100)]
    light = [changed(each, source, 1) for each in originals]
    heavy = [changed(each, source, 25) for each in originals]
    labels = near_duplicates([*originals, *light, *heavy])
    assert labels[100:200] == list(range(100))
    assert labels[200:] == list(range(200, 300))


@pytest.mark.parametrize("pair", [("Fever.", "fever"), ("take two tablets daily", "Take two tablets, daily!")])
def test_short_texts(pair: tuple[str, str]) -> None:
    assert near_duplicates([*pair, "something else"]) == [0, 0, 2]


def test_texts_without_words_are_never_joined() -> None:
    assert near_duplicates(["", "  ", "--", "--"]) == [0, 1, 2, 3]
    assert near_duplicates([]) == []


def test_ten_thousand_copies_are_one_cluster() -> None:
    source = random.Random(4)
    seed = text(source)
    labels = near_duplicates([changed(seed, source, 1) for _ in range(2000)] + [seed] * 8000)
    assert np.mean(np.array(labels) == 0) > 0.99


def test_runs_agree() -> None:
    source = random.Random(5)
    texts = [text(source, 40) for _ in range(200)]
    texts += [changed(each, source, 2) for each in texts]
    assert near_duplicates(texts) == near_duplicates(texts)


def test_joining_is_transitive() -> None:
    source = random.Random(6)
    chain = [text(source, 200)]
    for _ in range(6):
        chain.append(changed(chain[-1], source, 2))
    assert near_duplicates(chain) == [0] * 7
