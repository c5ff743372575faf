"""Traditional, full-width and capital characters reach the model as the ones that it was trained on."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from pipeline.folding import charsmap, double_array, folds, simplified
from pipeline.recipe import TokenizerRecipe
from pipeline.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def table() -> dict[str, str]:
    return folds()


@pytest.fixture(scope="module")
def fold(table: dict[str, str]) -> normalizers.Normalizer:
    return normalizers.Precompiled(charsmap(table))


def test_every_character_of_the_table_is_replaced(
    table: dict[str, str], fold: normalizers.Normalizer
) -> None:
    assert len(table) > 2500
    for character, replacement in table.items():
        assert fold.normalize_str(character) == replacement
        assert fold.normalize_str(f"中{character}a") == f"中{replacement}a"


def test_all_other_characters_stay(table: dict[str, str], fold: normalizers.Normalizer) -> None:
    others = [
        chr(c)
        for c in range(0x20, 0x20000)
        if chr(c) not in table and unicodedata.category(chr(c))[0] in "LNPSZ"
    ]
    assert [c for c in others if fold.normalize_str(c) != c] == []


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing_more(text: str) -> None:
    fold = normalizers.Precompiled(charsmap({"國": "国", "A": "a", "１": "1"}))
    once = fold.normalize_str(text)
    assert fold.normalize_str(once) == once


def test_what_a_reader_takes_for_the_same_gives_the_same_tokens() -> None:
    recipe = TokenizerRecipe(vocabulary=400, fold=True)
    tokenizer = train_tokenizer(["央行宣布下调利率0.5%", "the fed cut rates"], recipe)
    plain = tokenizer("央行宣布下调利率0.5%，Fed")["input_ids"]
    assert tokenizer("央行宣佈下調利率０．５％，ＦＥＤ")["input_ids"] == plain
    assert tokenizer("央行宣布下调利率0.6%，Fed")["input_ids"] != plain


def test_labels_and_answer_are_written_in_characters_that_stay(table: dict[str, str]) -> None:
    answer = (
        "这条新闻属于：货币政策宏观经济政策监管股市债券外汇大宗商品能源房地产数字货币公司行业国际政治其他"
    )
    assert not set(answer) & set(table)


def test_chinese_punctuation_stays_full_width(table: dict[str, str]) -> None:
    assert not set("，。：；！？（）“”、") & set(table)
    assert all(len(one) == len(other) == 1 for one, other in simplified().items())
    assert all(table[c] == c.lower() for c in string.ascii_uppercase)


def test_a_unit_stands_for_every_byte_that_may_follow() -> None:
    units = double_array({b"ab": 1, b"b\xff": 2})
    assert len(units) % 256 == 0
