"""Questions to a model that answers by its own labels only: a choice among them is read from one scoring."""

from collections.abc import Sequence

import torch

from shared.errors import EngineFailure
from shared.questions import Finding, Question
from shared.taxonomy import Taxonomy
from worker.engine.calibration import Scale
from worker.engine.labels import AnyLabels
from worker.engine.prompt import Item, Prompt
from worker.engine.protocol import Findings

ONLY_CHOICES = "this model answers by its own labels only: ask for a choice among them (GET /v1/models)"


class OwnLabels:
    """
    Args:
        scale: what its labels are calibrated with.
    """

    def __init__(self, labels: AnyLabels, taxonomy: Taxonomy, scale: Scale):
        self._labels = labels
        self._scale = scale
        self._places = {name.casefold(): place for place, name in enumerate(labels.names)}
        for place, label in enumerate(taxonomy.labels):
            for name in (label.zh, label.en, label.id, *label.aliases):
                self._places.setdefault(name.casefold(), place)

    def read(
        self, item: Item, scores: torch.Tensor, questions: Sequence[Question], prompt: Prompt
    ) -> Findings | EngineFailure:
        """What the scores of an item say to questions about it.

        Args:
            scores: [forms] log P of the labels' surface forms.
        """
        if not bool(torch.isfinite(scores).all()):
            return EngineFailure("the model's scores for this text are not numbers")
        found = [self._find(question, scores) for question in questions]
        return Findings(
            findings=tuple(finding for finding, _ in found),
            truncated=item.truncated,
            prompt_tokens=len(prompt.head) + len(item.ids) + len(prompt.tail),
            completion_tokens=sum(tokens for _, tokens in found),
        )

    def _find(self, question: Question, scores: torch.Tensor) -> tuple[Finding, int]:
        """The finding, and the tokens of the label that it chooses."""
        if question.kind != "choice":
            return Finding(refusal=ONLY_CHOICES), 0
        places: list[int] = []
        for option in question.options:
            place = self._place(option.value)
            if place is None:
                reason = f"{option.text!r} is none of this model's labels, by which alone it answers"
                return Finding(refusal=reason), 0
            places.append(place)
        if len(set(places)) < len(places):
            return Finding(refusal="two of the choices are names of the same label"), 0
        chances, mass = self._labels.choose(scores[None], places, self._scale)
        finding = Finding(tuple(round(p, 6) for p in chances.tolist()), round(min(mass, 1.0), 6))
        return finding, self._labels.tokens[places[int(chances.argmax())]]

    def _place(self, value: object) -> int | None:
        return self._places.get(value.strip().casefold()) if isinstance(value, str) else None
