"""Image packs as folders: what is read, and what is refused with the place where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from honed.errors import InputError
from honed.formats import is_pack, read_pack


def pack(folder: Path, *rows: dict[str, Any], **lists: str) -> Path:
    (folder / "items.jsonl").write_text("".join(json.dumps({"path": "a.png", **row}) + "\n" for row in rows))
    for split, text in lists.items():
        (folder / "splits").mkdir(exist_ok=True)
        (folder / "splits" / f"{split}.txt").write_text(text)
    return folder


def splits(folder: Path) -> dict[str, str]:
    return {item.id: item.split for item in read_pack(folder).items}


def test_an_item_is_read_as_it_is(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "caption": " two\n words ",
        "tags": ["a", " b  c ", "", 3],
        "group": 5,
        "variant": "v",
        "extra": {"x": 1},
    }
    (item,) = read_pack(pack(tmp_path, row)).items
    assert (item.id, item.caption, item.tags, item.group, item.variant) == (
        "7",
        "two words",
        ("a", "b c", "3"),
        "5",
        "v",
    )
    assert item.meta == {"tags": ["a", " b  c ", "", 3], "group": 5, "variant": "v", "extra": {"x": 1}}
    (bare,) = read_pack(pack(tmp_path, {"_id": "x", "tags": "one, two"})).items
    assert (bare.caption, bare.tags, bare.group, bare.split) == ("", ("one", "two"), "", "train")


def test_a_group_is_in_one_split_the_strictest(tmp_path: Path) -> None:
    rows = ({"id": f"{group}{n}", "group": group, "split": split} for group, n, split in (
        ("a", 1, "train"), ("a", 2, "test"), ("b", 1, "train"), ("b", 2, "train"), ("c", 1, "train"), ("c", 2, "dev"),
    ))  # fmt: skip
    folder = pack(tmp_path, *rows, test="b\nunknown\n\n", train="a\nb\nc\n")
    assert splits(folder) == {"a1": "test", "a2": "test", "b1": "test", "b2": "test", "c1": "dev", "c2": "dev"}


def test_groups_without_a_split_are_dealt_by_their_name(tmp_path: Path) -> None:
    rows = [{"id": f"{n}-{twin}", "group": f"group {n}"} for n in range(300) for twin in range(2)]
    found = splits(pack(tmp_path, *rows))
    assert all(found[f"{n}-0"] == found[f"{n}-1"] for n in range(300))
    share = {split: sum(each == split for each in found.values()) / 600 for split in ("train", "dev", "test")}
    assert 0.6 < share["train"] < 0.8
    assert 0.05 < share["dev"] < 0.15
    assert 0.12 < share["test"] < 0.28
    assert splits(pack(tmp_path, *rows[:10])) == {row["id"]: found[row["id"]] for row in rows[:10]}


def test_odd_values_do_not_break_it(tmp_path: Path) -> None:
    row = {"id": "a", "group": "g", "split": ["train"], "tags": {"no": "list"}, "caption": 7}
    (item,) = read_pack(pack(tmp_path, row)).items
    assert (item.tags, item.caption) == ((), "")


def test_what_is_no_pack(tmp_path: Path) -> None:
    assert not is_pack(tmp_path)
    with pytest.raises(InputError, match=r"no items\.jsonl"):
        read_pack(tmp_path)
    assert is_pack(pack(tmp_path, {"id": "a"}))
    (tmp_path / "corpus.jsonl").touch()
    assert not is_pack(tmp_path), "a corpus with pictures is a corpus"
    for line, what in (("{", "not valid JSON"), ('{"path": "a.png"}', "no 'id'"), ('{"id": "a"}', "no 'path'")):
        (tmp_path / "items.jsonl").write_text(f'{{"id": "ok", "path": "a.png"}}\n{line}\n')
        with pytest.raises(InputError, match=f"line 2: .*{what}"):
            read_pack(tmp_path)
