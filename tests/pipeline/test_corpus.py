"""The items that the authors wrote: well-formed, and never both trained on and measured on."""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from pipeline.items import script
from pipeline.rows import key
from shared.taxonomy import load_taxonomy

ROOT = Path(__file__).parents[2]
HELD_OUT = ROOT / "tests" / "data" / "heldout.jsonl"
MORE = [
    ROOT / "tests" / "data" / name
    for name in ("long.jsonl", "autumn.jsonl", "winter.jsonl", "spring.jsonl", "summer.jsonl", "tricky.jsonl")
]  # held out as well


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def corpus() -> list[dict[str, Any]]:
    return [item for path in sorted((ROOT / "pipeline" / "corpus").glob("*.jsonl")) for item in read(path)]


def held_out() -> list[dict[str, Any]]:
    return [item for path in [HELD_OUT, *MORE] for item in read(path)]


def test_every_item_has_a_text_and_a_label_of_the_taxonomy() -> None:
    names = set(load_taxonomy(ROOT / "shared" / "taxonomies" / "newsroom.toml").names)
    for item in corpus() + held_out():
        assert set(item) == {"text", "label"}
        assert item["text"].strip()
        assert item["label"] in names


def test_no_item_is_written_twice() -> None:
    keys = Counter(key(item["text"]) for item in corpus() + held_out())
    assert [text for text, times in keys.items() if times > 1] == []


def test_the_held_out_items_cover_every_label_in_both_languages() -> None:
    items = read(HELD_OUT)
    labels = Counter(item["label"] for item in items)
    assert len(items) >= 500
    assert min(labels.values()) >= 40
    assert len({(item["label"], script(item["text"])) for item in items}) == 2 * len(labels)


def test_the_corpus_is_large_and_thin_on_no_label() -> None:
    labels = Counter((item["label"], script(item["text"])) for item in corpus())
    assert labels.total() >= 2500
    assert min(labels.values()) >= 50
    assert len(labels) == 28


def test_items_are_written_one_by_one_and_not_from_templates() -> None:
    """By character 5-grams: hardly two training items, and no held-out item and another, share half."""
    train, measured = ([item["text"] for item in items] for items in (corpus(), held_out()))
    among_themselves = nearest(train, train)
    assert sum(likeness > 0.5 for likeness in among_themselves) < len(train) / 100
    assert max(nearest(measured, train)) <= 0.5
    assert max(nearest(measured, measured)) <= 0.5


def test_likeness_is_that_of_the_nearest_other_item() -> None:
    assert nearest(["abcdef"], ["abcdef", "abcdex", "zzzzz"]) == [1.0]
    assert nearest(["abcdef", "abcdex", "zzzzz"], ["abcdef", "abcdex", "zzzzz"], same=True) == [
        1 / 3,
        1 / 3,
        0,
    ]


def nearest(texts: list[str], others: list[str], same: bool | None = None) -> list[float]:
    """For each text the highest Jaccard index of its character 5-grams with another's."""
    same = texts is others if same is None else same
    grams = [{text[at : at + 5] for at in range(max(1, len(text) - 4))} for text in others]
    holders: dict[str, list[int]] = defaultdict(list)
    for place, own in enumerate(grams):
        for gram in own:
            holders[gram].append(place)
    found = []
    for number, text in enumerate(texts):
        own = {text[at : at + 5] for at in range(max(1, len(text) - 4))}
        shared = Counter(
            place for gram in own for place in holders.get(gram, ()) if not (same and place == number)
        )
        found.append(max((n / (len(own) + len(grams[p]) - n) for p, n in shared.items()), default=0))
    return found
