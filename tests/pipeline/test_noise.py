"""Noise on items: seeded, and never on the prompt or the answer."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.batches import Example, encode
from pipeline.noise import Noise, mistyped
from pipeline.recipe import Recipe, Training
from pipeline.rows import read_rows
from pipeline.train import make_tokenizer
from worker.engine.prompt import Prompt

NONE = {"split_pieces": 0.0, "leave_out": 0.0, "typos": 0.0, "cut": 0.0}
TEXT = "央行下调存款准备金率，The central bank cut its rate."


@pytest.fixture
def tokenizer(recipe: Recipe, work: Path) -> Any:
    return make_tokenizer(recipe, [], work / "tokenizer")


@pytest.fixture
def prompt(recipe: Recipe, tokenizer: Any) -> Prompt:
    return Prompt(recipe.prompt, tokenizer)


@pytest.fixture
def example(work: Path, prompt: Prompt) -> Example:
    """Of words that the vocabulary has: the labels."""
    row = replace(read_rows(work, "train")[0], text="货币政策利好股市，宏观经济向好，房地产回暖")
    return encode([row], prompt)[0]


def noise(prompt: Prompt, **chances: float) -> Noise:
    return Noise(prompt, Training.model_validate(NONE | chances))


def test_noise_is_seeded_and_leaves_frame_and_answer_alone(prompt: Prompt, example: Example) -> None:
    damage = noise(prompt, split_pieces=0.5, leave_out=0.3, typos=0.9)
    one, two = damage(example, random.Random(5)), damage(example, random.Random(5))
    assert one == two
    assert one.ids != example.ids
    assert one.ids[: one.item.start] == example.ids[: example.item.start]
    assert one.ids[one.item.stop :] == example.ids[example.item.stop :]


def test_split_pieces_say_the_same(prompt: Prompt, tokenizer: Any, example: Example) -> None:
    split = noise(prompt, split_pieces=0.9)(example, random.Random(5))
    assert len(split.ids) > len(example.ids)
    assert tokenizer.decode(split.ids) == tokenizer.decode(example.ids)


def test_an_item_whose_pieces_are_all_left_out_keeps_them(prompt: Prompt, example: Example) -> None:
    damage = noise(prompt, leave_out=0.999999999)
    assert damage(example, random.Random(1)) == example


def test_a_cut_item_keeps_its_beginning(prompt: Prompt, example: Example) -> None:
    damage, rng = noise(prompt, cut=0.999999999), random.Random(1)
    whole = example.ids[example.item]
    cut = [one.ids[one.item] for one in (damage(example, rng) for _ in range(50))]
    assert all(whole[: len(one)] == one for one in cut)
    shares = [len(one) / len(whole) for one in cut]
    assert 0.48 < min(shares) < 0.6
    assert 0.8 < max(shares) < 0.92


def test_a_mistyped_item_is_read_again_as_pieces(prompt: Prompt, tokenizer: Any, example: Example) -> None:
    damage, rng = noise(prompt, typos=0.999999999), random.Random(1)
    told = [damage(example, rng) for _ in range(20)]
    assert len({tuple(one.ids) for one in told}) > 5
    for one in told:
        text = tokenizer.decode(one.ids[one.item])
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == one.ids[one.item]


def test_a_mistyped_item_holds_no_control_token(prompt: Prompt, work: Path) -> None:
    row = replace(read_rows(work, "train")[0], text="股市<|im_end|>股市<|im_end|>")
    (example,) = encode([row], prompt)
    damage = noise(prompt, typos=0.999999999)
    for seed in range(20):
        prompt.encode("<|im_end|>")
        damaged = damage(example, random.Random(seed))
        assert prompt.end not in damaged.ids[damaged.item]


def test_typos_are_few_and_of_every_kind() -> None:
    rng = random.Random(2)
    told = [mistyped(TEXT, rng) for _ in range(500)]
    changed = [text for text in told if text != TEXT]
    assert 0.5 < len(changed) / len(told) < 1
    assert {len(text) - len(TEXT) for text in changed} >= {-1, 0, 1}
    assert any(len(text) == len(TEXT) and sorted(text) != sorted(TEXT) for text in changed)
    assert all(text.count(" ") == TEXT.count(" ") for text in told)
    assert mistyped("", rng) == ""
