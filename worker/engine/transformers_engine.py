"""The real engine: an artifact in transformers, scoring labels by packed forwards."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from shared.description import Description
from shared.errors import ArtifactError, EngineFailure, ItemError
from shared.settings import Settings
from worker.engine.artifact import Artifact, open_artifact
from worker.engine.budget import step_budget
from worker.engine.labels import LabelSet, dictionary
from worker.engine.memory import memory_bytes, ran_out, release
from worker.engine.model import load_model, load_tokenizer, resolve
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Item, Prompt
from worker.engine.protocol import Classification
from worker.engine.scoring import PackedScorer
from worker.engine.self_check import check
from worker.engine.texts import ModelTexts

log = logging.getLogger(__name__)

Answer = Classification | ItemError


class TransformersEngine:
    """Serves one artifact. `load` makes one that is checked and warm."""

    def __init__(
        self,
        artifact: Artifact,
        model: Any,
        prompt: Prompt,
        labels: LabelSet,
        quantization: str,
        row_tokens: int,
        prompt_tokens: int = 1024,
    ):
        """
        Args:
            row_tokens: most tokens of one forward.
            prompt_tokens: most tokens of a prompt after which text is written.

        Raises:
            ArtifactError: prompt, labels and model do not fit each other.
        """
        self._artifact = artifact
        self._model = model
        self.prompt = prompt
        self._quantization = quantization
        self._row_tokens = row_tokens
        self._prompt_version = artifact.prompt_version
        self._temperature = artifact.calibration.for_type(quantization)
        self._labels = labels
        _check_fit(model.config, prompt, self._labels)
        self.scorer = PackedScorer(model, self._labels.trie, FrozenPrefix(model, prompt.head))
        self.texts = ModelTexts(model, prompt.tokenizer, prompt_tokens, row_tokens)

    @classmethod
    def load(cls, config: Settings) -> "TransformersEngine":
        """The artifact of WIREDESK_MODEL, checked (also against naive scoring) and warmed up.

        Raises:
            ArtifactError: it cannot be served; says which file and why.
        """
        torch.set_num_threads(config.torch_threads or max(1, (os.cpu_count() or 2) - 1))
        artifact = open_artifact(Path(config.model))
        quantization = resolve(config.quantization, artifact.stored_type)
        prompt = Prompt(artifact.template, load_tokenizer(artifact.folder), config.max_item_tokens)
        labels = LabelSet(artifact.taxonomy, prompt)
        row_tokens = step_budget(artifact, config, quantization, prompt, labels)
        model = load_model(artifact, quantization, config.embedding_device, config.int8_threshold)
        engine = cls(artifact, model, prompt, labels, quantization, row_tokens, config.max_prompt_tokens)
        difference = engine.check()
        log.info("%s in %s: packed scores within %.1e of plain ones", artifact.name, quantization, difference)
        return engine

    def check(self) -> float:
        """Packed against naive scores; also the warm-up. Raises ArtifactError when they differ."""
        return check(self.scorer, self.prompt)

    def classify(self, texts: Sequence[str]) -> list[Answer]:
        """See Engine.classify: one packed forward, or several when the texts are very long."""
        answers: dict[int, Answer] = {}
        items: dict[int, Item] = {}
        for place, text in enumerate(texts):
            try:
                items[place] = self.prompt.item(text)
            except ItemError as error:
                answers[place] = error
        for group in self._groups(items):
            answers |= zip(group, self._score([items[place] for place in group]), strict=True)
        return [answers[place] for place in range(len(texts))]

    def describe(self) -> Description:
        return Description(
            name=self._artifact.name,
            revision=self._artifact.revision,
            labels=self._labels.names,
            device=str(self._model.device),
            quantization=self._quantization,
            memory_bytes=memory_bytes(self._model),
            item_tokens=self.prompt.item_tokens,
            prompt_version=self._prompt_version,
            writes=True,
        )

    def _groups(self, items: dict[int, Item]) -> list[list[int]]:
        """Places of the items, in order, in groups that fit one row; a longer item has its own."""
        groups: list[list[int]] = []
        room = 0
        for place, item in items.items():
            cost = self.scorer.cost(self._prompt_of(item))
            if not groups or cost > room:
                groups.append([])
                room = self._row_tokens
            groups[-1].append(place)
            room -= cost
        return groups

    def _score(self, items: Sequence[Item]) -> list[Answer]:
        scores = self._forward(items)
        if scores is None:
            release()  # here, and not in the except block, whose exception holds the tensors
            return self._halve(items)
        if len(items) > 1 and not bool(torch.isfinite(scores).all()):
            # One text's NaN spreads over the row, since 0 x NaN is NaN: find out whose it is.
            return [self._score([item])[0] for item in items]
        return self._read(items, scores)

    def _forward(self, items: Sequence[Item]) -> torch.Tensor | None:
        """Scores of every surface form [B, forms]; None when memory ran out."""
        try:
            return self.scorer.score([self._prompt_of(item) for item in items])
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            log.warning("out of memory in a step of %d texts", len(items))
            return None

    def _halve(self, items: Sequence[Item]) -> list[Answer]:
        if len(items) == 1:
            size = self.scorer.cost(self._prompt_of(items[0]))
            return [
                EngineFailure(
                    f"the text takes {size} tokens, for which the memory of the device is too small "
                    f"(planned for {self._row_tokens})"
                )
            ]
        half = len(items) // 2
        return self._score(items[:half]) + self._score(items[half:])

    def _prompt_of(self, item: Item) -> list[int]:
        return item.ids + self.prompt.tail

    def _read(self, items: Sequence[Item], scores: torch.Tensor) -> list[Answer]:
        probabilities, mass = self._labels.probabilities(scores, self._temperature)
        rows = zip(items, probabilities, mass.tolist(), strict=True)
        return [self._answer(item, row, on_labels) for item, row, on_labels in rows]

    def _answer(self, item: Item, row: torch.Tensor, mass: float) -> Answer:
        if not (math.isfinite(mass) and bool(torch.isfinite(row).all())):
            return EngineFailure("the model's scores for this text are not numbers")
        best = int(row.argmax())
        label = self._labels.names[best]
        return Classification(
            label=label,
            probabilities=dictionary(self._labels.names, row),
            label_mass=round(min(mass, 1.0), 6),
            truncated=item.truncated,
            answer=self.prompt.answer(label),
            prompt_tokens=len(self.prompt.head) + len(item.ids) + len(self.prompt.tail),
            completion_tokens=self._labels.tokens[best],
        )


def _check_fit(config: Any, prompt: Prompt, labels: LabelSet) -> None:
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
