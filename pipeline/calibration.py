"""One temperature, fitted on rows that neither training nor the reported figures use.

Guo et al. 2017, On Calibration of Modern Neural Networks: softmax(log P / T), T minimising the
negative log-likelihood.
"""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.batches import encode
from pipeline.prepare import Row
from pipeline.recipe import Recipe
from shared.taxonomy import load_taxonomy
from worker.engine.prompt import Prompt

LOWEST, HIGHEST, STEPS = 0.3, 4.0, 75


def fit_temperature(model: Any, prompt: Prompt, rows: Sequence[Row], recipe: Recipe) -> float:
    """The temperature with the least negative log-likelihood on `rows`; 1.0 without rows."""
    if not rows:
        return 1.0
    names = load_taxonomy(recipe.taxonomy).names
    scores = torch.stack([_label_scores(model, prompt, row, names) for row in rows])
    gold = torch.tensor([names.index(row.label) for row in rows])
    return best_temperature(scores, gold)


def best_temperature(scores: torch.Tensor, gold: torch.Tensor) -> float:
    """Args: scores [rows, labels] in nats, gold [rows]. A grid, even in the logarithm, is exact enough."""
    grid = torch.logspace(*(torch.log10(torch.tensor(t)).item() for t in (LOWEST, HIGHEST)), STEPS)
    loss = [float(torch.nn.functional.cross_entropy(scores / t, gold)) for t in grid]
    return round(float(grid[loss.index(min(loss))]), 4)


@torch.inference_mode()
def _label_scores(model: Any, prompt: Prompt, row: Row, names: Sequence[str]) -> torch.Tensor:
    """log P of each label's whole answer, by one forward for each: [labels]."""
    scores = []
    for example in encode([Row(row.id, row.text, name, row.group, row.split) for name in names], prompt):
        logits = model(
            input_ids=torch.tensor([example.ids]), logits_to_keep=example.answer + 1, use_cache=False
        ).logits
        answer = torch.tensor(example.ids[-example.answer :])
        log_p = torch.log_softmax(logits[0, :-1].float(), -1)
        scores.append(log_p.gather(-1, answer[:, None]).sum())
    return torch.stack(scores)
