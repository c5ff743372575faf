"""Items to measure on: what is refused, how they are named, and whether the model may know them."""

import json
import re
from pathlib import Path

import pytest

from pipeline.items import items_like, leaks_checked, read_items, refuse_leaks, rows_to_measure
from pipeline.recipe import Recipe
from pipeline.rows import Row, write_rows
from pipeline.tables import digest
from shared.errors import RecipeError
from tests.pipeline.conftest import copy_rows, write_jsonl


def test_items_that_the_model_knows_are_refused_with_what_it_knows_them_for(tmp_path: Path) -> None:
    texts = {"train": "降准落地。", "calibration": "股指收跌。", "held_out": "下雨了。", "unlabelled": "无题"}
    write_rows([Row(f"my {split}", text, "", "", split) for split, text in texts.items()], tmp_path)
    rows = [Row(f"i:{n}", text, "", "", "held_out") for n, text in enumerate(texts.values())]
    known = (
        "i:0 (trained on: my train); i:1 (chosen and calibrated by: my calibration); "
        "i:3 (trained on, without labels: my unlabelled); leave them out of the items, or name their file "
        "under `exclude` in the recipe and train again"
    )
    with pytest.raises(RecipeError, match=re.escape(known)):
        refuse_leaks(rows, tmp_path)
    refuse_leaks(rows[2:3], tmp_path)


def test_nothing_to_measure_on_is_refused_with_what_to_do(recipe: Recipe, work: Path) -> None:
    with pytest.raises(RecipeError, match=r"no row to measure on: bring --items, or raise `held_out`"):
        rows_to_measure(recipe, work, [])


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"text": "涨", "label": ""}, "label is empty"),
        ({"text": "涨", "label": ["股市"]}, r"label is no string \(list\)"),
        ({"text": "涨", "label": None}, r"label is no string \(NoneType\)"),
        ({"text": " ", "label": "股市"}, "text is empty"),
        ({"text": 5, "label": "股市"}, r"text is no string \(int\)"),
    ],
)
def test_an_item_without_a_text_or_a_label_is_refused(
    tmp_path: Path, item: dict[str, object], told: str
) -> None:
    """They vanished, counted as wrong answers, or ended in a TypeError."""
    write_jsonl(tmp_path / "items.jsonl", [{"text": "跌", "label": "股市"}, item, item])
    with pytest.raises(
        RecipeError, match=rf"items\.jsonl, row 2: {told}; row 3: {told}; an item needs a text"
    ):
        read_items(tmp_path / "items.jsonl")


def test_an_item_that_stands_twice_is_refused(recipe: Recipe, work: Path, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl", [{"text": text, "label": "股市"} for text in ("三连阳。", "两市缩量。")]
    )
    write_jsonl(
        tmp_path / "b.jsonl", [{"text": "三连阳", "label": "股市"}, {"text": "两市缩量", "label": "其他"}]
    )
    twice = (
        r"same text: a\.jsonl:1 and b\.jsonl:1; a\.jsonl:2 and b\.jsonl:2, labels '股市' and '其他'; leave"
    )
    with pytest.raises(RecipeError, match=twice):
        rows_to_measure(recipe, work, [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    again = rows_to_measure(recipe, work, [tmp_path / "a.jsonl"])
    assert [row.id for row in again] == ["a.jsonl:1", "a.jsonl:2"]


def test_a_published_set_is_measured_with_its_copies(recipe: Recipe, work: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "dev.jsonl", [{"text": "三连阳。", "label": "市场"}] * 2)
    assert len(rows_to_measure(recipe, work, [tmp_path / "dev.jsonl"], like="authored")) == 2


def test_items_are_named_by_their_ids(recipe: Recipe, work: Path, tmp_path: Path) -> None:
    texts = {7: "三连阳。", None: "两市缩量。", "": "北向流入。", "n7": "午后跳水。"}
    write_jsonl(tmp_path / "a.jsonl", [{"id": n, "text": t, "label": "股市"} for n, t in texts.items()])
    rows = read_items(tmp_path / "a.jsonl")
    assert [row.id for row in rows] == ["7", "a.jsonl:2", "a.jsonl:3", "n7"]
    write_jsonl(tmp_path / "b.jsonl", [{"id": "7", "text": "尾盘拉升。", "label": "股市"}])
    with pytest.raises(RecipeError, match="several rows have the id 7; give each item an `id` of its own"):
        rows_to_measure(recipe, work, [tmp_path / "a.jsonl", tmp_path / "b.jsonl"])


def test_items_are_grouped_by_their_script(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "items.jsonl",
        [{"text": "央行降准", "label": "货币政策"}, {"text": "Oil up", "label": "能源"}],
    )
    assert [row.group for row in read_items(tmp_path / "items.jsonl")] == [
        "written Chinese",
        "written English",
    ]


@pytest.mark.parametrize("split", ["train", "calibration", "unlabelled"])
def test_a_check_against_other_rows_than_the_artifacts_is_told(
    split: str, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Items of one recipe's rows passed as unseen for a model that another recipe had trained on them."""
    (tmp_path / "work").mkdir()
    copy_rows(work, tmp_path / "work")
    splits = {name: {"sha256": digest(work / f"{name}.jsonl")} for name in ("train", "calibration", split)}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"data": {"splits": splits}}), encoding="utf-8")
    assert leaks_checked(tmp_path, tmp_path / "work") is True
    assert capsys.readouterr().err == ""
    with (tmp_path / "work" / f"{split}.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    assert leaks_checked(tmp_path, tmp_path / "work") is False
    assert re.search(r"^warning: \S+ was trained on other rows than those in", capsys.readouterr().err)
    manifest.write_text('{"name": "adopted"}', encoding="utf-8")
    assert leaks_checked(tmp_path, tmp_path / "work") is None
    assert capsys.readouterr().err == ""


def test_items_can_be_laid_out_as_a_source(recipe: Recipe, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "more.jsonl", [{"text": "降准", "label": "央行"}])
    (row,) = items_like(tmp_path / "more.jsonl", recipe, "authored")
    assert (row.label, row.group, row.split) == ("货币政策", "more", "held_out")
    with pytest.raises(RecipeError, match="no source 'gone'; it has authored"):
        items_like(tmp_path / "more.jsonl", recipe, "gone")
