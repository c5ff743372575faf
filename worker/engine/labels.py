"""A label set bound to a prompt: the trie of its surface forms, and how forms fold into labels."""

from collections.abc import Mapping, Sequence

import torch

from worker.engine.prompt import Prompt
from worker.engine.trie import build_trie


class LabelSet:
    """The labels of a question.

    Args:
        forms: name of each label -> its aliases, which are other ways to say it.

    Attributes:
        names: of the labels, in order.
        trie: of every surface form's tokens, with the end of turn.
        tokens: [labels] tokens of each label's own name.
    """

    def __init__(self, forms: Mapping[str, Sequence[str]], prompt: Prompt):
        self.names = tuple(forms)
        said = [(place, form) for place, name in enumerate(forms) for form in (name, *forms[name])]
        self.trie = build_trie([prompt.label_sequence(form) for _, form in said])
        self._owner = torch.tensor([place for place, _ in said])
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
