"""Random parts of texts, for a teacher to label."""

import pytest

from pipeline.excerpts import SHORTEST, excerpts
from pipeline.rows import Row


def row(text: str) -> Row:
    return Row("a:1", text, "股市", "written", "train", repeat=2, also=("公司",))


CHINESE = row("沪指收盘上涨百分之一，两市成交额突破万亿元，半导体和证券板块领涨，北向资金净买入。")
ENGLISH = row("Shares in Tokyo closed higher as exporters gained from a weaker yen and chip makers rallied.")


def test_each_long_text_gives_as_many_parts_as_asked_for_and_a_short_one_none() -> None:
    short = row("x" * SHORTEST)
    assert [one.id for one in excerpts([CHINESE, short, ENGLISH], 2, seed=1)] == [
        "a:1, part 1",
        "a:1, part 2",
    ] * 2


def test_a_text_of_three_long_words_gives_none() -> None:
    assert excerpts([row("Semiconductors, telecommunications, pharmaceuticals")], 5, seed=1) == []


@pytest.mark.parametrize("whole", [CHINESE, ENGLISH])
def test_a_part_is_a_shorter_piece_of_the_text_without_label_or_repeats(whole: Row) -> None:
    for part in excerpts([whole], 20, seed=1):
        assert part.text in whole.text
        assert 0 < len(part.text) < len(whole.text)
        assert (part.label, part.also, part.repeat) == ("", (), 1)


def test_english_is_cut_between_words() -> None:
    words = set(ENGLISH.text.split())
    assert all(set(part.text.split()) <= words for part in excerpts([ENGLISH], 20, seed=1))


def test_the_same_seed_gives_the_same_parts_and_another_others() -> None:
    first, again, other = ([one.text for one in excerpts([CHINESE], 5, seed)] for seed in (1, 1, 2))
    assert first == again != other
