"""What prepare reports: figures that add up, ids and no texts, one page that loads nothing."""

import json
import re
from pathlib import Path

import pytest

from pipeline.prepare import main
from tests.pipeline.conftest import slot_recipe, write_jsonl, write_recipe


def test_prepare_reports_counts_lengths_and_conflicts_by_id_and_shows_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, lambda text: text.replace("held_out = 0.0", "held_out = 0.2"))
    rows = [{"id": f"n{n}", "text": f"第{n}家机密公司的公告", "label": "市场"} for n in range(40)]
    write_jsonl(tmp_path / "news.jsonl", [*rows, {**rows[0], "id": "copy", "label": "央行"}])
    work = tmp_path / "work"
    main(["--recipe", str(recipe), "--data", str(tmp_path), "--work", str(work)])
    told = capsys.readouterr().out
    page = (work / "prepared.html").read_text(encoding="utf-8")
    figures = json.loads((work / "prepared.json").read_text(encoding="utf-8"))
    assert sum(figures["labels"]["股市"].values()) == 40
    assert figures["tokens"]["train"]["rows"] == figures["labels"]["股市"]["train"]
    assert [(one["kept"], one["dropped"]) for one in figures["conflicts"]] == [("n0", "copy")]
    assert "copy of another row 1" in told
    assert "<td>n0</td>" in page
    assert page.count("<svg") == 2
    assert figures["labels"]["债券"] == {"train": 0, "calibration": 0, "held_out": 0, "unlabelled": 0}
    assert "股市" not in figures["untrained"]
    assert len(figures["untrained"]) == 13
    warning = "no training row has 货币政策, 宏观经济, 政策监管, 债券, "
    assert warning in told
    assert warning in page
    for shown in (told, page, json.dumps(figures, ensure_ascii=False)):
        assert "机密" not in shown
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)


def test_a_value_of_a_slot_that_no_training_row_has_is_named_and_one_among_several_answers_is_not(
    tmp_path: Path,
) -> None:
    slot_recipe(tmp_path)
    rows = [{"text": "国内公司", "labels": ["中国", "公司", "行业"], "raw": []}]
    write_jsonl(tmp_path / "news.jsonl", rows)
    main(["--recipe", str(tmp_path / "two.toml"), "--data", str(tmp_path), "--work", str(tmp_path / "work")])
    figures = json.loads((tmp_path / "work" / "prepared.json").read_text(encoding="utf-8"))
    assert set(figures["untrained"]) == {"region=外国", "region=国际", "topic=政策"}
    assert list(figures["labels"]) == ["中国、公司"]
