"""Typed questions put to a model: from a text to branches, from their scores to findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from shared.errors import ArtifactError, EngineFailure, ItemError
from shared.questions import Finding, Question
from worker.engine.calibration import Scale
from worker.engine.labels import LabelSet
from worker.engine.packing import Asked, Branch
from worker.engine.prompt import Item
from worker.engine.protocol import Findings
from worker.engine.question_prompt import QuestionPrompt

Scores = torch.Tensor | None  # of one branch; None where the device's memory is too small
Score = Callable[[Sequence[Asked]], Sequence[Sequence[Scores]]]
PLAIN = Scale()  # nothing is fitted on questions
NOT_NUMBERS = "the model's scores for this question are not numbers"


@dataclass(frozen=True)
class _Put:
    """A question that can be put."""

    place: int
    branch: Branch
    labels: LabelSet


class Interview:
    """
    Args:
        score: items with their branches -> scores of each branch.
        context: tokens that the model can read and answer with.
    """

    def __init__(self, prompt: QuestionPrompt, score: Score, context: int):
        self.prompt = prompt
        self._score = score
        self._context = context

    def decide(self, asked: Sequence[tuple[str, Sequence[Question]]]) -> list[Findings | ItemError]:
        """See Engine.decide. Questions that cannot be answered are refused, the others are not affected."""
        answers: dict[int, Findings | ItemError] = {}
        items: dict[int, Item] = {}
        for place, (text, _) in enumerate(asked):
            try:
                items[place] = self.prompt.item(text)
            except ItemError as error:
                answers[place] = error
        refusals: dict[int, dict[int, Finding]] = {}
        put: dict[int, list[_Put]] = {}
        for place, item in items.items():
            put[place], refusals[place] = self._put(item, asked[place][1])
        some = [place for place in items if put[place]]
        scores = self._score([Asked(items[place].ids, [one.branch for one in put[place]]) for place in some])
        found = dict(zip(some, scores, strict=True))
        for place, item in items.items():
            answers[place] = self._read(item, put[place], found.get(place, []), refusals[place])
        return [answers[place] for place in range(len(asked))]

    def branch(self, question: Question) -> tuple[Branch, LabelSet]:
        """
        Raises:
            ArtifactError: its answers cannot be told apart.
        """
        labels = self.prompt.labels(question)
        return Branch(self.prompt.tail(question), labels.trie), labels

    def _put(self, item: Item, questions: Sequence[Question]) -> tuple[list[_Put], dict[int, Finding]]:
        put, refused = [], {}
        for place, question in enumerate(questions):
            try:
                branch, labels = self.branch(question)
            except ArtifactError as error:
                refused[place] = Finding(refusal=str(error))
                continue
            longest = max(map(len, branch.trie.sequences))
            size = len(self.prompt.head) + len(item.ids) + len(branch.tail) + longest
            if size > self._context:
                reason = f"the question takes {size} tokens with its text; the model reads {self._context}"
                refused[place] = Finding(refusal=reason)
            else:
                put.append(_Put(place, branch, labels))
        return put, refused

    def _read(
        self, item: Item, put: Sequence[_Put], scores: Sequence[Scores], refused: dict[int, Finding]
    ) -> Findings | ItemError:
        findings, tokens = dict(refused), 0
        for one, own in zip(put, scores, strict=True):
            findings[one.place], answer = _find(one, own)
            tokens += answer
        failed = [findings[one.place].refusal for one in put]
        if failed and not refused and all(failed):
            return EngineFailure(f"no question could be answered: {failed[0]}")
        return Findings(
            findings=tuple(findings[place] for place in sorted(findings)),
            truncated=item.truncated,
            prompt_tokens=len(self.prompt.head) + len(item.ids) + sum(len(one.branch.tail) for one in put),
            completion_tokens=tokens,
        )


def _find(put: _Put, scores: Scores) -> tuple[Finding, int]:
    """What was found, and the tokens of the likeliest answer."""
    if scores is None:
        reason = f"the question takes {put.branch.cost} tokens, for which the memory is too small"
        return Finding(refusal=reason), 0
    (reading,) = put.labels.read(scores[None], PLAIN)
    if reading is None:
        return Finding(refusal=NOT_NUMBERS), 0
    return Finding(tuple(reading.probabilities.values()), reading.mass), reading.tokens
