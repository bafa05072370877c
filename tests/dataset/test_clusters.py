from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from honed.dataset.clusters import UnionFind, document_clusters, query_clusters


@given(size=st.integers(1, 30), data=st.data())
def test_groups_are_the_connected_parts(size: int, data: st.DataObject) -> None:
    item = st.integers(0, size - 1)
    groups, reach = UnionFind(size), [{number} for number in range(size)]
    for left, right in data.draw(st.lists(st.tuples(item, item), max_size=40)):
        groups.join(left, right)
        whole = reach[left] | reach[right]
        for member in whole:
            reach[member] = whole
    assert groups.labels().tolist() == [min(members) for members in reach]


def alone(texts: list[str]) -> list[int]:
    return list(range(len(texts)))


def test_equal_titles_join_unless_everybody_has_them() -> None:
    texts = [str(number) for number in range(8)]
    titles = ["Guide", " guide ", "", "", "FAQ", "FAQ", "FAQ", "other"]
    assert document_clusters(texts, titles, alone).tolist() == [0, 0, 2, 3, 4, 5, 6, 7]
    assert document_clusters([], [], alone).tolist() == []


def test_near_duplicates_join_and_joining_is_transitive() -> None:
    labels = document_clusters(["a", "b", "c", "d"], ["x", "y", "y", ""], lambda texts: [0, 0, 2, 3])
    assert labels.tolist() == [0, 0, 0, 3]


def test_queries_join_where_their_documents_do() -> None:
    relevant = [{0: 1}, {1: 1, 2: 1}, {3: 2}, {}, {2: 1, 3: 1}]
    assert query_clusters(list("abcde"), relevant, np.array([0, 0, 2, 3])).tolist() == [0, 0, 0, 3, 0]
    assert query_clusters(list("abc"), relevant[:3], np.array([0, 1, 2, 3])).tolist() == [0, 1, 2]


def test_the_same_question_under_two_ids_is_one_cluster() -> None:
    texts = ["What is it?", "other", " what  IS it?"]
    assert query_clusters(texts, [{0: 1}, {1: 1}, {2: 1}], np.array([0, 1, 2])).tolist() == [0, 1, 0]


def test_a_title_on_thousands_of_documents_joins_none_of_them() -> None:
    """However small their share is: one such cluster would be held out of training whole."""
    titles = ["Introduction"] * 800 + [f"Manual {number // 400}" for number in range(19_200)]
    labels = document_clusters([""] * len(titles), titles, alone)
    assert np.unique(labels[:800], return_counts=True)[1].max() == 1
    assert set(np.unique(labels[800:], return_counts=True)[1].tolist()) == {400}
