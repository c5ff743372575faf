"""What prepare refuses, drops and keeps apart."""

from pathlib import Path

import pytest

from pipeline.prepare import Row, counts, ensure_prepared, key, prepare, read_rows, write_rows
from pipeline.recipe import Recipe, load_recipe
from shared.errors import RecipeError
from tests.pipeline.conftest import write_jsonl, write_recipe


def test_an_unknown_label_is_refused_with_file_and_row(recipe: Recipe, tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": "央行降准", "label": "央行"}, {"text": "新股", "label": "打新"}]
    )
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 2: label '打新'"):
        prepare(recipe, tmp_path)


def test_a_line_that_is_not_json_is_refused_with_its_row(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "news.jsonl").write_text(
        '{"text": "央行降准", "label": "央行"}\n{"text":\n', encoding="utf-8"
    )
    with pytest.raises(RecipeError, match=r"news\.jsonl, row 2: not JSON"):
        prepare(recipe, tmp_path)


def test_copies_of_a_text_are_kept_once_whatever_their_punctuation_and_links(
    recipe: Recipe, tmp_path: Path
) -> None:
    texts = [
        "央行降准，利好股市！",
        "央行降准 利好股市",
        "央行降准，利好股市 https://example.org/a",
        "央行降息",
    ]
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": "央行"} for text in texts])
    assert [key(row.text) for row in prepare(recipe, tmp_path)] == ["央行降准利好股市", "央行降息"]


def test_no_text_stands_in_two_splits(tmp_path: Path) -> None:
    """A copy of a held-out text elsewhere in the file must not be trained on."""
    recipe = load_recipe(
        write_recipe(
            tmp_path, lambda text: text.replace("held_out = 0.0", 'held_out = 0.3\nheld_out_by = "order"')
        )
    )
    texts = [f"第{number}家公司公布业绩" for number in range(10)]
    texts[0] = texts[9] + "。"
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": "市场"} for text in texts])
    rows = prepare(recipe, tmp_path)
    held_out = {key(row.text) for row in rows if row.split == "held_out"}
    assert held_out == {key(text) for text in texts[7:]}
    assert not held_out & {key(row.text) for row in rows if row.split != "held_out"}


def test_texts_of_an_excluded_file_are_left_out(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, lambda text: f'exclude = ["test.jsonl"]\n{text}'))
    write_jsonl(
        tmp_path / "news.jsonl", [{"text": text, "label": "央行"} for text in ("央行降准", "央行降息")]
    )
    write_jsonl(tmp_path / "test.jsonl", [{"text": "央行降准。"}])
    assert [row.text for row in prepare(recipe, tmp_path)] == ["央行降息"]


def test_a_ruling_decides_before_the_map_and_dropped_rows_keep_their_text_when_asked(tmp_path: Path) -> None:
    ruling = (
        '\nkeep_dropped = true\ndrop = ["杂"]\nrulings = [{pattern = "比特币|bitcoin", label = "数字货币"}]\n'
    )
    recipe = load_recipe(write_recipe(tmp_path, lambda text: text + ruling))
    rows = [("Bitcoin tops a record", "市场"), ("比特币大跌", "杂"), ("随便说说", "杂")]
    write_jsonl(tmp_path / "news.jsonl", [{"text": text, "label": label} for text, label in rows])
    assert [(row.label, row.split) for row in prepare(recipe, tmp_path)] == [
        ("数字货币", "train"),
        ("数字货币", "train"),
        ("", "unlabelled"),
    ]


def test_preparing_twice_gives_the_same_files(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_rows(prepare(recipe, data), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_rows_of_an_older_recipe_are_prepared_again(recipe: Recipe, data: Path, tmp_path: Path) -> None:
    """They could hold out other rows than the model's, and so measure it on what it learnt."""
    ensure_prepared(recipe, data, tmp_path)
    (tmp_path / "train.jsonl").write_text("", encoding="utf-8")
    ensure_prepared(recipe, data, tmp_path)
    assert read_rows(tmp_path, "train") == []
    source = recipe.sources[0].model_copy(update={"repeat": 2})
    ensure_prepared(recipe.model_copy(update={"sources": (source,)}), data, tmp_path)
    assert len(read_rows(tmp_path, "train")) == 12


def test_rows_survive_their_file(tmp_path: Path) -> None:
    row = Row("7", "换行\u2028在此", "其他", "authored", "train", 2)
    write_rows([row], tmp_path)
    assert read_rows(tmp_path, "train") == [row]
    assert "其他" in counts([row])


def test_missing_rows_say_which_command_makes_them(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"python -m pipeline\.prepare"):
        read_rows(tmp_path, "train")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("hidden = 32", 'hidden = "wide"', "model.hidden"),
        ("label_epochs = 80", "label_epochs = 0", "training.label_epochs"),
        ('group = "authored"', 'groop = "authored"', "groop"),
        (
            "held_out = 0.0",
            "held_out = 0.0\nrulings = [{pattern = '(', label = '其他'}]",
            "regular expression",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_naming_the_field(tmp_path: Path, old: str, new: str, field: str) -> None:
    with pytest.raises(RecipeError, match=field):
        load_recipe(write_recipe(tmp_path, lambda text: text.replace(old, new)))
