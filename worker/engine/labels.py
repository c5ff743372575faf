"""A label set bound to a prompt: the trie of what can be answered, and what its scores say.

Three kinds, by the answer of the prompt's template: one label; one value for each of several slots;
any number of labels, each with a verdict of its own. All are scored by one forward.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch

from shared.errors import ArtifactError
from shared.taxonomy import Taxonomy
from worker.engine.calibration import Scale
from worker.engine.prompt import Prompt
from worker.engine.trie import build_trie

MOST_COMBINATIONS = 1_000
YES = 0.5  # probability from which a label of several applies

Choosing = tuple[torch.Tensor, float]  # probabilities of some labels, and the mass on them


@dataclass(frozen=True)
class Reading:
    """What the scores of one text say.

    Attributes:
        label: the best one; for slots, the values as the answer joins them.
        probabilities: of the labels; for slots, of all combinations. They sum to 1 unless each label
            has a verdict of its own.
        mass: see Classification.label_mass.
        answer: what the model says, without what stands around it in the answer.
        tokens: of that answer.
        labels: those that apply, where any number may.
        slots: each slot's probabilities, given the values of the slots before it.
    """

    label: str
    probabilities: dict[str, float]
    mass: float
    answer: str
    tokens: int
    labels: tuple[str, ...] | None = None
    slots: dict[str, dict[str, float]] | None = None


class LabelSet:
    """One label of several.

    Args:
        forms: name of each label -> its aliases, which are other ways to say it.

    Attributes:
        names: of the labels, in order.
        parts: what a calibration can have a bias for.
        made_of: [labels, parts] 1 where a label consists of a part.
        trie: of every surface form's sequence (Prompt.label_sequence).
        sequences: the tokens of each label's own name.
        tokens: how many they are.
    """

    def __init__(self, forms: Mapping[str, Sequence[str]], prompt: Prompt):
        self.names = self.parts = tuple(forms)
        self.made_of = torch.eye(len(self.names))
        said = [(place, form) for place, name in enumerate(forms) for form in (name, *forms[name])]
        spoken = [form for _, form in said]
        self.trie = build_trie([prompt.label_sequence(form) for form in spoken], spoken)
        self._owner = torch.tensor([place for place, _ in said])
        self.sequences = [prompt.label_sequence(name) for name in self.names]
        self.tokens = [len(sequence) for sequence in self.sequences]

    def fold(self, scores: torch.Tensor) -> torch.Tensor:
        """[B, forms] -> [B, labels]: the log of the summed probabilities of a label's forms."""
        highest = scores.max(dim=1, keepdim=True).values
        sums = torch.zeros(scores.shape[0], len(self.names)).index_add_(
            1, self._owner, (scores - highest).exp()
        )
        return sums.log() + highest

    def logits(self, scores: torch.Tensor) -> torch.Tensor:
        """[B, forms] log P -> [B, labels], what a temperature divides and a bias is added to."""
        return self.fold(scores)

    def read(self, scores: torch.Tensor, scale: Scale) -> list[Reading | None]:
        """[B, forms] log P -> what they say of each text; None where they are no numbers."""
        labels = self.fold(scores)
        chances = torch.softmax(labels / scale.temperature + bias_of(self, scale), dim=1)
        masses = labels.logsumexp(1).exp()
        rows = zip(chances, masses.tolist(), strict=True)
        return [self._read(row, mass) if _are_numbers(row, mass) else None for row, mass in rows]

    def choose(self, scores: torch.Tensor, places: Sequence[int], scale: Scale) -> Choosing:
        """[1, forms] log P -> the choice among some labels, as if no other were there."""
        some, bias = self.fold(scores)[0, list(places)], bias_of(self, scale)[list(places)]
        return torch.softmax(some / scale.temperature + bias, dim=0), float(some.logsumexp(0).exp())

    def _read(self, chances: torch.Tensor, mass: float) -> Reading:
        return self._reading(int(chances.argmax()), chances, mass)

    def _reading(self, best: int, chances: torch.Tensor, mass: float) -> Reading:
        name = self.names[best]
        said = dictionary(self.names, chances)
        return Reading(name, said, round(min(mass, 1.0), 6), name, self.tokens[best])


class SlotLabels(LabelSet):
    """One value for each slot of the answer: the best one, given the values of the slots before.

    Every combination is a path of the trie, so their joint probabilities are exact.
    """

    def __init__(self, slots: Mapping[str, Sequence[str]], prompt: Prompt):
        combinations = list(product(*slots.values()))
        if len(combinations) > MOST_COMBINATIONS:
            raise ArtifactError(
                f"the slots have {len(combinations)} combinations; at most {MOST_COMBINATIONS} are scored"
            )
        said = [prompt.template.fill(**dict(zip(slots, values, strict=True))) for values in combinations]
        super().__init__(dict.fromkeys(said, ()), prompt)
        self.slots = {name: tuple(values) for name, values in slots.items()}
        self.parts = tuple(f"{slot}={value}" for slot, values in slots.items() for value in values)
        pairs = [
            [f"{slot}={value}" for slot, value in zip(slots, values, strict=True)] for values in combinations
        ]
        self.made_of = torch.tensor([[float(part in pair) for part in self.parts] for pair in pairs])

    def _read(self, chances: torch.Tensor, mass: float) -> Reading:
        left = chances.reshape([len(values) for values in self.slots.values()])
        slots, best = {}, 0
        for name, values in self.slots.items():
            given = left.reshape(len(values), -1).sum(1) / left.sum()
            slots[name] = dictionary(values, given)
            chosen = int(given.argmax())
            best = best * len(values) + chosen
            left = left[chosen]
        return replace(self._reading(best, chances, mass), slots=slots)


class MultiLabels:
    """Any number of labels: for each a branch of the trie that ends in yes or no."""

    def __init__(self, names: Sequence[str], prompt: Prompt):
        self.names = self.parts = tuple(names)
        self.made_of = torch.eye(len(self.names))
        self._separator = prompt.template.label_separator
        yes, no = (
            [prompt.template.fill(label=n, verdict=v) for n in names] for v in prompt.template.verdicts
        )
        trie = build_trie([prompt.label_sequence(form) for form in (*yes, *no)])
        count = len(self.names)
        shared = trie.paths[:count] * trie.paths[count:]  # up to where yes and no part
        self.trie = replace(trie, paths=torch.cat([trie.paths, shared]))
        self.tokens = [len(prompt.label_sequence(form)) for form in yes]

    def logits(self, scores: torch.Tensor) -> torch.Tensor:
        """[B, 3 labels] log P of yes, of no and of what leads to both -> [B, labels] log odds of yes."""
        return self._odds(scores)[0]

    def read(self, scores: torch.Tensor, scale: Scale) -> list[Reading | None]:
        """[B, 3 labels], as `logits` -> what they say of each text."""
        odds, masses = self._odds(scores)
        chances = torch.sigmoid(odds / scale.temperature + bias_of(self, scale))
        rows = zip(chances, masses.min(dim=1).values.tolist(), strict=True)
        return [self._read(row, mass) if _are_numbers(row, mass) else None for row, mass in rows]

    def choose(self, scores: torch.Tensor, places: Sequence[int], scale: Scale) -> Choosing:
        """[1, 3 labels] log P -> the choice among some labels, if exactly one of them applies."""
        odds, masses = self._odds(scores)
        some, bias = odds[0, list(places)], bias_of(self, scale)[list(places)]
        return torch.softmax(some / scale.temperature + bias, dim=0), float(masses[0, list(places)].min())

    def _odds(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, labels] log-odds of yes, and the probability that the verdict is one of both."""
        yes, no, before = scores.reshape(len(scores), 3, -1).unbind(1)
        return yes - no, (torch.logaddexp(yes, no) - before).exp()

    def _read(self, chances: torch.Tensor, mass: float) -> Reading:
        apply = [place for place, chance in enumerate(chances.tolist()) if chance >= YES]
        labels = tuple(self.names[place] for place in apply)
        return Reading(
            label=self.names[int(chances.argmax())],
            probabilities=dictionary(self.names, chances),
            mass=round(min(mass, 1.0), 6),
            answer=self._separator.join(labels),
            tokens=sum(self.tokens[place] for place in apply),
            labels=labels,
        )


AnyLabels = LabelSet | MultiLabels


def labels_of(taxonomy: Taxonomy, prompt: Prompt) -> AnyLabels:
    """The labels of an artifact, in the kind that its prompt asks for.

    Raises:
        ArtifactError: taxonomy and prompt ask for different kinds.
    """
    wanted = prompt.template.slots
    if wanted != tuple(taxonomy.slots):
        there = ", ".join(taxonomy.slots) or "none"
        raise ArtifactError(
            f"the answer in prompt.toml has the slots {', '.join(wanted) or 'none'}, taxonomy.toml {there}"
        )
    if wanted:
        return SlotLabels(taxonomy.slots, prompt)
    return MultiLabels(taxonomy.names, prompt) if prompt.template.multi else LabelSet(taxonomy.forms, prompt)


def labels_named(names: Sequence[str], prompt: Prompt) -> AnyLabels:
    """Labels that came with a request.

    Raises:
        ArtifactError: this model answers in slots.
    """
    if prompt.template.slots:
        raise ArtifactError("this model answers in slots of its own")
    return MultiLabels(names, prompt) if prompt.template.multi else LabelSet(dict.fromkeys(names, ()), prompt)


def bias_of(labels: AnyLabels, scale: Scale) -> torch.Tensor:
    """[labels] nats, of which each label's parts make up its own.

    Raises:
        ArtifactError: the scale has a bias for what is no label.
    """
    unknown = [name for name in scale.bias if name not in labels.parts]
    if unknown:
        raise ArtifactError(
            f"calibration.json has a bias for {', '.join(unknown[:5])}, which the labels do not have; "
            "run python -m pipeline.calibrate"
        )
    return labels.made_of @ torch.tensor([scale.bias.get(part, 0.0) for part in labels.parts])


def dictionary(names: Sequence[str], row: torch.Tensor) -> dict[str, float]:
    """Label -> probability, to six digits: more is noise in every data type."""
    return {name: round(float(p), 6) for name, p in zip(names, row, strict=True)}


def _are_numbers(row: torch.Tensor, mass: float) -> bool:
    return bool(torch.isfinite(row).all()) and math.isfinite(mass)
