"""What a recipe may say: a wrong field is named before any data is read."""

from pathlib import Path

import pytest

from pipeline.recipe import Training, load_recipe
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy
from tests.pipeline.conftest import ROOT, slot_recipe, write_recipe


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("hidden = 32", 'hidden = "wide"', "model.hidden"),
        ("label_epochs = 80", "label_epochs = 0", "training.label_epochs"),
        ("hidden = 32", "hidden = 0", "model.hidden: Input should be greater than 0"),
        ("layers = 2", "layers = 0", "model.layers"),
        ("head_dim = 16", "head_dim = 15", "model.head_dim: Input should be a multiple of 2"),
        (
            "heads = 2\nkv_heads = 1",
            "heads = 3\nkv_heads = 2",
            r"model: heads \(3\) must be a multiple of kv_heads \(2\)",
        ),
        ("held_out = 0.0", 'held_out_by = "time"', "held_out_field"),
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


def test_an_error_within_a_list_is_the_only_one(tmp_path: Path) -> None:
    """The list was also called too short, as if it were empty."""
    with pytest.raises(RecipeError) as refusal:
        load_recipe(write_recipe(tmp_path, lambda text: text.replace('group = "authored"', 'groop = "a"')))
    assert "should have at least" not in str(refusal.value)
    with pytest.raises(RecipeError, match=r"sources: .* at least 1"):
        load_recipe(write_recipe(tmp_path, lambda text: "sources = []\n" + text.partition("[[sources]]")[0]))


def test_a_source_may_be_held_out_as_a_whole(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path,
        lambda text: text.replace("held_out = 0.0\ncalibration = 0.0", "held_out = 1.0\ncalibration = 0.03"),
    )
    assert load_recipe(path).sources[0].held_out == 1


def test_the_small_taxonomy_and_the_numbers_for_few_rows_of_the_documents_are_right(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8").split("```toml\n")
    shortest, *_, taxonomy, few_rows = (block.partition("```")[0] for block in blocks[1:])
    (tmp_path / "desk_labels.toml").write_text(taxonomy, encoding="utf-8")
    recipe = shortest.replace("../../shared/taxonomies/newsroom.toml", "desk_labels.toml") + few_rows
    (tmp_path / "desk.toml").write_text(recipe, encoding="utf-8")
    read = load_recipe(tmp_path / "desk.toml")
    assert load_taxonomy(read.taxonomy).names == ("Sport", "Business")
    assert (Training().batch_tokens, read.training.batch_tokens) == (4096, 512)
    assert (Training().averaging, read.training.averaging) == (0.998, 0.98)


def test_two_sources_with_one_name_are_refused(tmp_path: Path) -> None:
    source = '\n[[sources]]\nname = "authored"\ngroup = "more"\nfile = "more.jsonl"\n'
    with pytest.raises(RecipeError, match="sources: two are named 'authored'"):
        load_recipe(write_recipe(tmp_path, lambda text: text + source))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"市场" = "股市"',
            '"市场" = "Stock markets"',
            r"sources\[authored\]\.map\.市场: 'Stock markets' is not a label; is '股市' meant\?$",
        ),
        ("map = {", 'map = { "杂" = "杂谈",', r"sources\[authored\]\.map\.杂: '杂谈' is not a label$"),
        (
            "map = {",
            'rulings = [{pattern = "a", label = "其他"}, {pattern = "b", label = "其它"}]\nmap = {',
            r"sources\[authored\]\.rulings\[2\]\.label: '其它' is not a label",
        ),
        (
            "{label}",
            "{lable}",
            r"prompt\.answer has the slot lable; a taxonomy without slots needs \{label\}$",
        ),
    ],
)
def test_words_that_the_taxonomy_lacks_are_refused_by_their_field_before_data_is_read(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    """The map's wrong target was told as an unknown label of the source, row by row."""
    with pytest.raises(RecipeError, match=r"tiny\.toml is not a valid recipe: " + told):
        load_recipe(write_recipe(tmp_path, lambda text: text.replace(old, new)))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("{region}、{topc}", r"has the slots region, topc; the taxonomy has region, topic, in this order"),
        ("{topic}、{region}", r"has the slots topic, region; the taxonomy has region, topic, in this order"),
        ("{label}", r"has no slots; the taxonomy has region, topic, in this order"),
    ],
)
def test_an_answer_has_the_slots_of_the_taxonomy(tmp_path: Path, answer: str, told: str) -> None:
    with pytest.raises(RecipeError, match=r"prompt\.answer " + told):
        slot_recipe(tmp_path, lambda text: text.replace("{region}、{topic}", answer))
