"""Rows -> padded batches of token ids, the same in every run with the same seed."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from pipeline.rows import Row
from worker.engine.prompt import Prompt

IGNORED = -100  # target of tokens that no loss is taken on
SORTED_TOGETHER = 64  # batches' worth of rows that are sorted by length before being cut


@dataclass(frozen=True)
class Example:
    """`ids` is prompt + answer; the last `answer` tokens are the label and the end of turn."""

    ids: list[int]
    item: slice
    answer: int


@dataclass(frozen=True)
class Batch:
    """`text` and `label` are targets: the next token, or IGNORED; with `ids` they are [rows, longest].

    `before` [rows] is the last position before each answer. `row` and `step` [targets] say whose answer's
    which token each target of `label` is, one row after the other.
    """

    ids: torch.Tensor
    text: torch.Tensor
    label: torch.Tensor
    before: torch.Tensor
    row: torch.Tensor
    step: torch.Tensor


def encode(rows: Sequence[Row], prompt: Prompt) -> list[Example]:
    """The same prompt as in serving, with the row's answer behind it, if it has one."""
    answers = {label: prompt.whole_answer(label) for label in {row.label for row in rows} if label}
    examples = []
    for row in rows:
        item = prompt.item(row.text).ids
        answer = answers.get(row.label, [])
        start = len(prompt.head)
        ids = [*prompt.head, *item, *prompt.tail, *answer]
        examples.append(Example(ids, slice(start, start + len(item)), len(answer)))
    return examples


def balanced(rows: Sequence[Row], power: float, seed: int) -> list[int]:
    """Row numbers of one pass: as many as the rows' repeats, rare labels more often than they occur.

    A label's share becomes proportional to count^(1 - power); which of its rows come more or less
    often is drawn anew with each seed.
    """
    count = Counter[str]()
    for row in rows:
        count[row.label] += row.repeat
    weight = {label: n**-power for label, n in count.items()}
    scale = count.total() / sum(weight[label] * n for label, n in count.items())
    rng = random.Random(seed)  # noqa: S311 - sampling, not secrets
    times = [row.repeat * weight[row.label] * scale for row in rows]
    return [i for i, t in enumerate(times) for _ in range(int(t) + (rng.random() < t % 1))]


def cut(lengths: Sequence[int], order: Sequence[int], tokens: int, seed: int) -> list[list[int]]:
    """Example numbers in batches of at most `tokens` padded tokens, of like length, in random order."""
    rng = random.Random(seed)  # noqa: S311
    order = list(order)
    rng.shuffle(order)
    mean = sum(lengths[i] for i in order) / len(order)
    chunk = max(1, int(SORTED_TOGETHER * tokens / mean))
    batches = [
        batch
        for start in range(0, len(order), chunk)
        for batch in _fill(sorted(order[start : start + chunk], key=lengths.__getitem__), lengths, tokens)
    ]
    rng.shuffle(batches)
    return batches


def collate(examples: Sequence[Example]) -> Batch:
    """Right-padded with token 0, which no loss is taken on and no causal position sees."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), longest, dtype=torch.long)
    text, label = torch.full_like(ids, IGNORED), torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        known = torch.tensor(example.ids)
        answer = len(known) - example.answer
        ids[row, : len(known)] = known
        text[row, example.item.start - 1 : example.item.stop - 1] = known[example.item]
        label[row, answer - 1 : len(known) - 1] = known[answer:]
    before = torch.tensor([len(example.ids) - example.answer - 1 for example in examples])
    whose, column = (label != IGNORED).nonzero(as_tuple=True)
    return Batch(ids, text, label, before, whose, column - before[whose])


def _fill(order: Sequence[int], lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for i in order:
        if batch and (len(batch) + 1) * lengths[i] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
