"""A label set bound to a prompt: the trie of its surface forms, and how forms fold into labels."""

from collections.abc import Sequence

import torch

from shared.taxonomy import Taxonomy
from worker.engine.prompt import Prompt
from worker.engine.trie import build_trie


class LabelSet:
    """The labels that one artifact answers with; an alias is another way to say its label.

    Attributes:
        names: label names in the taxonomy's language.
        trie: of every surface form's tokens, with the end of turn.
        tokens: [labels] tokens of each label's own name.
    """

    def __init__(self, taxonomy: Taxonomy, prompt: Prompt):
        self.names = taxonomy.names
        forms = [
            (place, form)
            for place, (name, label) in enumerate(zip(self.names, taxonomy.labels, strict=True))
            for form in (name, *label.aliases)
        ]
        self.trie = build_trie([prompt.label_sequence(form) for _, form in forms])
        self._owner = torch.tensor([place for place, _ in forms])
        self.tokens = [len(prompt.label_sequence(name)) for name in self.names]

    def fold(self, scores: torch.Tensor) -> torch.Tensor:
        """[B, forms] -> [B, labels]: the log of the summed probabilities of a label's forms."""
        highest = scores.max(dim=1, keepdim=True).values
        sums = torch.zeros(scores.shape[0], len(self.names)).index_add_(
            1, self._owner, (scores - highest).exp()
        )
        return sums.log() + highest

    def probabilities(self, scores: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        """[B, forms] -> calibrated probabilities [B, labels], and the mass on any label [B]."""
        labels = self.fold(scores)
        return torch.softmax(labels / temperature, dim=1), labels.logsumexp(1).exp()


def dictionary(names: Sequence[str], row: torch.Tensor) -> dict[str, float]:
    """Label -> probability, to six digits: more is noise in every data type."""
    return {name: round(float(p), 6) for name, p in zip(names, row, strict=True)}
