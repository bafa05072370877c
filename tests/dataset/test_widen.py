from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from honed.dataset.task import Labelled, Task
from honed.dataset.widen import ENOUGH, widen_dev
from honed.types import Query


def labelled(clusters: Sequence[int], name: str) -> Labelled:
    queries = tuple(Query(f"{name}{at}", f"question {at}") for at in range(len(clusters)))
    return Labelled(queries, tuple({cluster: 1} for cluster in clusters), np.array(clusters, np.int64))


def task(train: Sequence[int], dev: Sequence[int]) -> Task:
    nothing = np.empty(0, np.int64)
    splits = {"train": labelled(train, "t"), "dev": labelled(dev, "d"), "test": labelled([900, 901], "x")}
    return Task(nothing, (), nothing, nothing, splits, "labels")  # type: ignore[arg-type]


def test_whole_clusters_move_and_no_question_is_lost() -> None:
    before = task([n // 5 for n in range(250)], [100, 100, 101, 102])
    after = widen_dev(before, seed=1)
    train, dev = after.splits["train"], after.splits["dev"]
    assert not set(train.clusters) & set(dev.clusters)
    assert {q.id for q in (*train.queries, *dev.queries)} == {
        q.id for split in ("train", "dev") for q in before.splits[split].queries
    }
    assert dev.cluster_count == 3 + 10, "a fifth of train's 50"
    assert dev.relevant[-1] == {int(dev.clusters[-1]): 1}
    assert "10 of train's 50" in after.notes[0]
    assert after.splits["test"] is before.splits["test"]


def test_a_draw_can_be_repeated_and_depends_on_the_seed() -> None:
    before = task(list(range(200)), [900])
    one, two, other = (widen_dev(before, seed=seed).splits["dev"].clusters.tolist() for seed in (1, 1, 2))
    assert one == two != other
    assert len(set(one)) == ENOUGH


def test_a_dev_of_many_clusters_is_left_alone() -> None:
    enough = task(list(range(100)), list(range(200, 200 + ENOUGH)))
    assert widen_dev(enough, seed=1) is enough
    empty = task(list(range(100)), [])
    assert widen_dev(empty, seed=1) is empty


def test_a_cluster_that_holds_most_of_train_stays_there() -> None:
    before = task([0] * 90 + list(range(1, 11)), [500])
    after = widen_dev(before, seed=3)
    assert 0 not in after.splits["dev"].clusters
    assert len(after.splits["train"].queries) >= 80
