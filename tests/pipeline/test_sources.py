"""Where a source's rows come from: files that a pattern matches, labels in files of their own."""

from pathlib import Path

import pytest

from pipeline.findings import Findings
from pipeline.prepare import ensure_prepared, prepare
from pipeline.recipe import load_recipe
from pipeline.rows import read_rows
from shared.errors import RecipeError
from tests.pipeline.conftest import write_jsonl, write_recipe


def test_corrections_decide_before_rulings_and_drop(tmp_path: Path) -> None:
    more = (
        '\nkeep_dropped = true\ndrop = ["杂"]\ncorrections = "read.jsonl"\n'
        'rulings = [{pattern = "比特币", label = "数字货币"}]\n'
    )
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + more))
    rows = [("1", "比特币公司上市", "市场"), ("2", "央行降准", "杂"), ("3", "随便说说", "杂")]
    write_jsonl(tmp_path / "news.jsonl", [{"id": i, "text": text, "label": label} for i, text, label in rows])
    write_jsonl(tmp_path / "read.jsonl", [{"id": "1", "label": "股市"}, {"id": "2", "label": "货币政策"}])
    assert [row.label for row in prepare(recipe, tmp_path)] == ["股市", "货币政策", ""]


def test_ids_of_corrections_are_compared_as_text_and_those_of_no_row_are_counted(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + '\ncorrections = "read.jsonl"\n'))
    write_jsonl(tmp_path / "news.jsonl", [{"id": 1, "text": "央行降准", "label": "市场"}])
    write_jsonl(tmp_path / "read.jsonl", [{"id": "1", "label": "股市"}, {"id": "9", "label": "股市"}])
    findings = Findings()
    assert [row.label for row in prepare(recipe, tmp_path, findings)] == ["股市"]
    assert findings.left_out["correction without a row in news.jsonl"] == 1


@pytest.mark.parametrize(
    ("corrections", "says"),
    [
        ([("1", "央行")], r"read\.jsonl, id 1: label '央行': not in the taxonomy, whose own labels"),
        (
            [("1", "股市"), ("2", "股市"), ("1", "其他")],
            r"read\.jsonl, rows 1 and 3: id 1 has two labels, '股市' and",
        ),
    ],
)
def test_corrections_that_decide_nothing_are_refused(
    corrections: list[tuple[str, str]], says: str, tmp_path: Path
) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + '\ncorrections = "read.jsonl"\n'))
    write_jsonl(tmp_path / "news.jsonl", [{"id": "1", "text": "央行降准", "label": "央行"}])
    write_jsonl(tmp_path / "read.jsonl", [{"id": i, "label": label} for i, label in corrections])
    with pytest.raises(RecipeError, match=says):
        prepare(recipe, tmp_path)


def test_labels_by_id_go_with_one_file_because_two_may_share_ids(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path, lambda text: text.replace("news.jsonl", "desk*.jsonl") + '\ncorrections = "read.jsonl"\n'
    )
    with pytest.raises(RecipeError, match=r"sources\[.*\]: labels_file and corrections are joined by id"):
        load_recipe(path)


def test_a_wrong_field_is_named_with_its_source_and_the_field_that_may_be_meant(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, lambda text: text + "\nheldout = 0.1\n")
    with pytest.raises(
        RecipeError, match=r"sources\[.+\]\.heldout: there is no such field; is 'held_out' meant\?"
    ):
        load_recipe(path)
    path.write_text(path.read_text(encoding="utf-8").replace("[[sources]]\nname = ", "[[sources]]\ntitle = "))
    with pytest.raises(RecipeError, match=r"sources\[1\]\.name: Field required"):
        load_recipe(path)


def test_a_pattern_stands_for_all_files_that_it_matches_and_a_new_one_is_noticed(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text.replace("news.jsonl", "desk*.jsonl")))
    with pytest.raises(RecipeError, match=r"no file in .* matches desk\*\.jsonl"):
        prepare(recipe, tmp_path)
    write_jsonl(tmp_path / "desk1.jsonl", [{"text": "央行降准", "label": "央行"}])
    ensure_prepared(recipe, tmp_path, tmp_path / "work")
    write_jsonl(tmp_path / "desk2.jsonl", [{"text": "央行降息", "label": "央行"}])
    ensure_prepared(recipe, tmp_path, tmp_path / "work")
    assert [row.id for row in read_rows(tmp_path / "work", "train")] == ["desk1.jsonl:1", "desk2.jsonl:1"]


def test_labels_in_a_file_of_their_own_are_joined_by_id_as_text_and_rows_without_one_left_out(
    tmp_path: Path,
) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + '\nlabels_file = "labels.csv"\n'))
    write_jsonl(tmp_path / "news.jsonl", [{"id": 1, "text": "央行降准"}, {"id": 2, "text": "随便说说"}])
    (tmp_path / "labels.csv").write_text("id,label\n1,央行\n", encoding="utf-8")
    findings = Findings()
    assert [(row.id, row.label) for row in prepare(recipe, tmp_path, findings)] == [("1", "货币政策")]
    assert findings.left_out == {"no label in the file of labels": 1}
