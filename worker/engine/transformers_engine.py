"""The real engine: an artifact in transformers, scoring labels by packed forwards and writing text."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from shared.description import Description
from shared.errors import ItemError
from shared.questions import Question as TypedQuestion
from shared.settings import Settings
from worker.engine.artifact import Artifact, open_artifact
from worker.engine.branches import BranchScorer
from worker.engine.budget import step_budget
from worker.engine.calibration import Scale
from worker.engine.interview import Interview
from worker.engine.labels import AnyLabels, labels_named, labels_of
from worker.engine.memory import memory_bytes
from worker.engine.model import load_model, load_tokenizer, outlier_threshold, resolve
from worker.engine.own_labels import OwnLabels
from worker.engine.prompt import Prompt
from worker.engine.protocol import Findings, Labels
from worker.engine.question import Answer, Question, Questions, Scores
from worker.engine.question_prompt import QuestionPrompt
from worker.engine.self_check import check, check_branches
from worker.engine.texts import ModelTexts

log = logging.getLogger(__name__)


class TransformersEngine:
    """Serves one artifact. `load` makes one that is checked and warm.

    Attributes:
        question: the artifact's own labels.
        texts: writes text with the same weights.
    """

    def __init__(
        self,
        artifact: Artifact,
        model: Any,
        prompt: Prompt,
        labels: AnyLabels,
        quantization: str,
        row_tokens: int,
        prompt_tokens: int = 1024,
        label_cache_bytes: int = 0,
    ):
        """
        Args:
            row_tokens: most tokens of one forward.
            prompt_tokens: most tokens of a prompt after which text is written.
            label_cache_bytes: what label sets of requests may hold.

        Raises:
            ArtifactError: prompt, labels and model do not fit each other.
        """
        self._artifact = artifact
        self._model = model
        self._quantization = quantization
        self.row_tokens = row_tokens
        self._prompt_version = artifact.prompt_version
        self.prompt = prompt
        self.question = self._ask(prompt, labels, own=True)
        self.texts = ModelTexts(model, prompt.tokenizer, prompt_tokens, row_tokens)
        self._questions = Questions(self._ask_names, label_cache_bytes)
        self._own_labels = OwnLabels(labels, artifact.taxonomy, self._scale)
        self.interview = self._interviews() if artifact.template.zero_shot else None

    @classmethod
    def load(cls, config: Settings) -> "TransformersEngine":
        """The artifact of WIREDESK_MODEL, checked (also against naive scoring) and warmed up.

        Raises:
            ArtifactError: it cannot be served; says which file and why.
        """
        torch.set_num_threads(config.torch_threads or max(1, (os.cpu_count() or 2) - 1))
        artifact = open_artifact(Path(config.model))
        quantization = resolve(config.quantization, artifact.stored_type)
        names = artifact.taxonomy.names
        tokenizer = load_tokenizer(artifact.folder)
        prompt = Prompt(artifact.template, tokenizer, config.max_item_tokens, names)
        labels = labels_of(artifact.taxonomy, prompt)
        row_tokens = step_budget(artifact, config, quantization, prompt, labels)
        model = load_model(artifact, quantization, config.embedding_device, config.int8_threshold)
        engine = cls(
            artifact,
            model,
            prompt,
            labels,
            quantization,
            row_tokens,
            config.max_prompt_tokens,
            config.label_cache_bytes,
        )
        difference = engine.check()
        log.info("%s in %s: packed scores within %.1e of plain ones", artifact.name, quantization, difference)
        return engine

    def check(self) -> float:
        """Packed against naive scores; also the warm-up. Raises ArtifactError when they differ."""
        difference = check(self.question.scorer, self.prompt)
        if self.interview:
            difference = max(difference, check_branches(self._branches, self.interview))
        return difference

    def classify(self, texts: Sequence[str], labels: Sequence[Labels] = ()) -> list[Answer]:
        """See Engine.classify: a packed forward for each label set, or several for very long texts."""
        asked = list(labels) or [None] * len(texts)
        answers: dict[int, Answer] = {}
        for names in dict.fromkeys(asked):
            places = [place for place, wanted in enumerate(asked) if wanted == names]
            answers |= zip(places, self._answer(names, [texts[place] for place in places]), strict=True)
        return [answers[place] for place in range(len(texts))]

    def decide(self, asked: Sequence[tuple[str, Sequence[TypedQuestion]]]) -> list[Findings | ItemError]:
        """See Engine.decide: the text is read once for all its questions."""
        if self.interview:
            return self.interview.decide(asked)
        scored = self.question.scores([text for text, _ in asked])
        pairs = zip(scored, asked, strict=True)
        return [self._find(own, questions) for own, (_, questions) in pairs]

    def describe(self) -> Description:
        return Description(
            name=self._artifact.name,
            revision=self._artifact.revision,
            labels=self.question.labels.names,
            device=str(self._model.device),
            quantization=self._quantization,
            memory_bytes=memory_bytes(self._model),
            item_tokens=self.prompt.item_tokens,
            prompt_version=self._prompt_version,
            int8_threshold=outlier_threshold(self._model),
            writes=True,
            zero_shot=self._artifact.template.zero_shot,
        )

    def _answer(self, names: Labels, texts: Sequence[str]) -> Sequence[Answer]:
        try:
            question = self._questions.of(names) if names else self.question
        except ItemError as error:
            return [error] * len(texts)
        return question.answer(texts)

    def _find(self, scored: Scores, questions: Sequence[TypedQuestion]) -> Findings | ItemError:
        if isinstance(scored, ItemError):
            return scored
        return self._own_labels.read(*scored, questions, self.prompt)

    @property
    def _scale(self) -> Scale:
        return self._artifact.calibration.for_type(self._quantization)

    def _ask(self, prompt: Prompt, labels: AnyLabels, own: bool) -> Question:
        scale = self._scale if own else self._scale.without_bias()
        return Question(self._model, prompt, labels, scale, self.row_tokens)

    def _ask_names(self, names: Sequence[str]) -> Question:
        prompt = Prompt(self.prompt.template, self.prompt.tokenizer, self.prompt.item_tokens, names)
        return self._ask(prompt, labels_named(names, prompt), own=False)

    def _interviews(self) -> Interview:
        prompt = QuestionPrompt(self._artifact.template, self.prompt.tokenizer, self.prompt.item_tokens)
        self._branches = BranchScorer(self._model, prompt.head, self.row_tokens)
        return Interview(prompt, self._branches.score, self._model.config.max_position_embeddings)
