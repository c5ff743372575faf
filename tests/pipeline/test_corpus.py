"""The items that the authors wrote: well-formed, and never both trained on and measured on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pipeline.evaluate import script
from pipeline.prepare import key
from shared.taxonomy import load_taxonomy

ROOT = Path(__file__).parents[2]
HELD_OUT = ROOT / "tests" / "data" / "heldout.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def corpus() -> list[dict[str, Any]]:
    return [item for path in sorted((ROOT / "pipeline" / "corpus").glob("*.jsonl")) for item in read(path)]


def test_every_item_has_a_text_and_a_label_of_the_taxonomy() -> None:
    names = set(load_taxonomy(ROOT / "shared" / "taxonomies" / "newsroom.toml").names)
    for item in corpus() + read(HELD_OUT):
        assert set(item) == {"text", "label"}
        assert item["text"].strip()
        assert item["label"] in names


def test_no_item_is_written_twice() -> None:
    keys = Counter(key(item["text"]) for item in corpus() + read(HELD_OUT))
    assert [text for text, times in keys.items() if times > 1] == []


def test_the_held_out_items_cover_every_label_in_both_languages() -> None:
    items = read(HELD_OUT)
    labels = Counter(item["label"] for item in items)
    assert len(items) >= 240
    assert min(labels.values()) >= 10
    assert len({(item["label"], script(item["text"])) for item in items}) == 2 * len(labels)
