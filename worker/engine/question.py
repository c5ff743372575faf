"""A label set put to a model: its prompt, its trie, its frozen prefix, and from scores to answers."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from shared.errors import ArtifactError, BadLabels, EngineFailure, ItemError
from worker.engine.calibration import Scale
from worker.engine.labels import AnyLabels, Reading, bias_of
from worker.engine.memory import ran_out, release
from worker.engine.packing import in_rows
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Item, Prompt
from worker.engine.protocol import Classification
from worker.engine.scoring import PackedScorer

log = logging.getLogger(__name__)

Answer = Classification | ItemError
Scores = tuple[Item, torch.Tensor] | ItemError  # of every surface form [forms]


class Question:
    """
    Args:
        scale: makes probabilities of the labels' log-probabilities.
        row_tokens: most tokens of one packed forward.

    Raises:
        ArtifactError: prompt, labels and model do not fit each other.
    """

    def __init__(self, model: Any, prompt: Prompt, labels: AnyLabels, scale: Scale, row_tokens: int):
        _check_fit(model.config, prompt, labels)
        bias_of(labels, scale)
        self.prompt = prompt
        self.labels = labels
        self.scorer = PackedScorer(model, labels.trie, FrozenPrefix(model, prompt.head))
        self._scale = scale
        self._row_tokens = row_tokens

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.scorer.prefix.size + self.labels.trie.bytes

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """As `scores`, read."""
        return [
            scored if isinstance(scored, ItemError) else self._read(*scored) for scored in self.scores(texts)
        ]

    def scores(self, texts: Sequence[str]) -> list[Scores]:
        """One packed forward, or several when the texts are very long; a bad text yields its error."""
        answers: dict[int, Scores] = {}
        items: dict[int, Item] = {}
        for place, text in enumerate(texts):
            try:
                items[place] = self.prompt.item(text)
            except ItemError as error:
                answers[place] = error
        for group in in_rows(items, lambda place: self._cost(items[place]), self._row_tokens):
            answers |= zip(group, self._score([items[place] for place in group]), strict=True)
        return [answers[place] for place in range(len(texts))]

    def _score(self, items: Sequence[Item]) -> list[Scores]:
        scores = self._forward(items)
        if scores is None:
            release()  # here, and not in the except block, whose exception holds the tensors
            return self._halve(items)
        if len(items) > 1 and not bool(torch.isfinite(scores).all()):
            # One text's NaN spreads over the row, since 0 x NaN is NaN: find out whose it is.
            return [self._score([item])[0] for item in items]
        return list(zip(items, scores, strict=True))

    def _forward(self, items: Sequence[Item]) -> torch.Tensor | None:
        """Scores of every surface form [B, forms]; None when memory ran out."""
        try:
            return self.scorer.score([self._prompt_of(item) for item in items])
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            log.warning("out of memory in a step of %d texts", len(items))
            return None

    def _halve(self, items: Sequence[Item]) -> list[Scores]:
        if len(items) == 1:
            return [
                EngineFailure(
                    f"the text takes {self._cost(items[0])} tokens, for which the memory of the device is "
                    f"too small (planned for {self._row_tokens})"
                )
            ]
        half = len(items) // 2
        return self._score(items[:half]) + self._score(items[half:])

    def _cost(self, item: Item) -> int:
        return self.scorer.cost(self._prompt_of(item))

    def _prompt_of(self, item: Item) -> list[int]:
        return item.ids + self.prompt.tail

    def _read(self, item: Item, scores: torch.Tensor) -> Answer:
        (reading,) = self.labels.read(scores[None], self._scale)
        return as_answer(item, reading, self.prompt)


def as_answer(item: Item, reading: Reading | None, prompt: Prompt) -> Answer:
    """The answer about an item; an error where its scores are no numbers."""
    if reading is None:
        return EngineFailure("the model's scores for this text are not numbers")
    return Classification(
        label=reading.label,
        probabilities=reading.probabilities,
        label_mass=reading.mass,
        truncated=item.truncated,
        answer=prompt.answer(reading.answer),
        prompt_tokens=len(prompt.head) + len(item.ids) + len(prompt.tail),
        completion_tokens=reading.tokens,
        labels=reading.labels,
        slots=reading.slots,
    )


class Questions:
    """The label sets of requests, least recently asked out first.

    Args:
        make: label names -> their question; raises ArtifactError.
        most: bytes that all of them may hold.
    """

    def __init__(self, make: Callable[[Sequence[str]], Question], most: int):
        self._make = make
        self._most = most
        self._kept: OrderedDict[tuple[str, ...], Question] = OrderedDict()

    def of(self, names: tuple[str, ...]) -> Question:
        """
        Raises:
            BadLabels: these labels cannot be told apart, or do not fit the model.
            EngineFailure: there is no memory for them.
        """
        if names not in self._kept:
            self._kept[names] = self._made(names)
            while self.size > self._most and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(names)
        return self._kept[names]

    @property
    def size(self) -> int:
        return sum(question.size for question in self._kept.values())

    def _made(self, names: tuple[str, ...]) -> Question:
        try:
            return self._make(names)
        except ArtifactError as error:
            raise BadLabels(f"these labels cannot be asked: {error}") from None
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
        self._kept.clear()
        release()  # here, and not in the except block, whose exception holds the tensors
        raise EngineFailure("the memory of the device is too small for these labels")


def _check_fit(config: Any, prompt: Prompt, labels: AnyLabels) -> None:
    if len(prompt.tokenizer) > config.vocab_size:
        raise ArtifactError(
            f"the tokenizer knows {len(prompt.tokenizer)} tokens but the model {config.vocab_size}: "
            "they do not belong together"
        )
    longest = max(map(len, labels.trie.sequences))
    room = config.max_position_embeddings - len(prompt.head) - len(prompt.tail) - longest
    if prompt.item_tokens > room:
        raise ArtifactError(
            f"an item of {prompt.item_tokens} tokens with its prompt is longer than the model's context; "
            f"set WIREDESK_MAX_ITEM_TOKENS to {max(room, 0)} or less"
        )
