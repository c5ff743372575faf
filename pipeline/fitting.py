"""Fits temperature and biases to rows, and finds from which probability answers are as right as wished."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from worker.engine.calibration import Scale
from worker.engine.labels import AnyLabels, MultiLabels

LOWEST, HIGHEST = 0.05, 20.0  # temperatures
PRIOR = 0.3  # nats that a bias is expected to be within, so that a label with few rows keeps a small one
ROUNDS = 200
BINS = 10  # of equal width, for the calibration error


@dataclass(frozen=True)
class Fit:
    """How well probabilities agree with the rows: means over them.

    nll in nats, brier the squared distance to the truth summed over the labels, ece over 10 equal bins.
    """

    accuracy: float
    nll: float
    brier: float
    ece: float


def fit(logits: torch.Tensor, truth: torch.Tensor, labels: AnyLabels, with_bias: bool) -> Scale:
    """The temperature, and the biases if wished, with the least negative log-likelihood.

    Args:
        logits: [rows, labels] as `labels.logits`.
        truth: [rows, labels], 1 where the label is right; rows sum to 1 unless each label has a verdict.
    """
    log_temperature = torch.zeros((), requires_grad=True)
    bias = torch.zeros(len(labels.parts), requires_grad=True)
    learned = [log_temperature, *([bias] if with_bias else [])]
    optimizer = torch.optim.LBFGS(learned, max_iter=ROUNDS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scaled = logits / _bounded(log_temperature) + labels.made_of @ bias
        value = _nll(scaled, truth, labels) + bias.square().sum() / (2 * PRIOR**2 * len(logits))
        value.backward()
        return value

    optimizer.step(loss)
    biases = dict(zip(labels.parts, bias.detach().tolist(), strict=True)) if with_bias else {}
    return Scale(
        round(float(_bounded(log_temperature.detach())), 4),
        {part: round(value, 4) for part, value in biases.items()},
    )


def probabilities(logits: torch.Tensor, scale: Scale, labels: AnyLabels) -> torch.Tensor:
    """[rows, labels], as serving computes them."""
    scaled = logits / scale.temperature + labels.made_of @ torch.tensor(
        [scale.bias.get(part, 0.0) for part in labels.parts]
    )
    return torch.sigmoid(scaled) if isinstance(labels, MultiLabels) else torch.softmax(scaled, 1)


def judge(chances: torch.Tensor, truth: torch.Tensor, labels: AnyLabels) -> Fit:
    """
    Args:
        chances, truth: [rows, labels].
    """
    likely = chances.clamp(1e-9, 1 - 1e-9)
    if isinstance(labels, MultiLabels):
        decided = chances.where(chances >= 0.5, 1 - chances)
        right = (chances >= 0.5) == truth.bool()
        nll = functional.binary_cross_entropy(likely, truth, reduction="none").sum(1).mean()
    else:
        decided, best = chances.max(1)
        right = truth.gather(1, best[:, None])[:, 0] > 0
        nll = -(truth * likely.log()).sum(1).mean()
    measures = (
        float(right.float().mean()),
        float(nll),
        float((chances - truth).square().sum(1).mean()),
        expected_error(decided.flatten(), right.flatten()),
    )
    return Fit(*(round(one, 4) for one in measures))


def expected_error(confidence: torch.Tensor, right: torch.Tensor) -> float:
    """Mean |confidence - accuracy| over bins of equal width, weighted by their items (Naeini et al. 2015)."""
    place = (confidence * BINS).long().clamp(0, BINS - 1)
    gap = torch.zeros(BINS).index_add_(0, place, right.float() - confidence.float())
    return float(gap.abs().sum()) / max(1, len(confidence))


def threshold(chances: torch.Tensor, truth: torch.Tensor, precision: float) -> float | None:
    """The least probability from which answers are right as often as wished; None when there is none.

    Args:
        chances, truth: [rows, labels] of rows that the reported figures do not use.
    """
    confidence, right = _answers(chances, truth)
    order = confidence.argsort(descending=True)
    share = right[order].float().cumsum(0) / torch.arange(1, len(order) + 1)
    # Of equal probabilities all are answered, so a cut stands only where the next is lower.
    ends = torch.cat([confidence[order][1:] < confidence[order][:-1], torch.tensor([True])])
    good = ((share >= precision) & ends).nonzero().flatten()
    return float(confidence[order][good[-1]]) if len(good) else None


def above(chances: torch.Tensor, truth: torch.Tensor, least: float) -> tuple[float, float]:
    """The share of rows answered with at least this probability, and the share of those that is right."""
    confidence, right = _answers(chances, truth)
    answered = confidence >= least
    return float(answered.float().mean()), float(right[answered].float().mean()) if answered.any() else 1.0


def _answers(chances: torch.Tensor, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    confidence, best = chances.max(1)
    return confidence, truth.gather(1, best[:, None])[:, 0] > 0


def _nll(scaled: torch.Tensor, truth: torch.Tensor, labels: AnyLabels) -> torch.Tensor:
    if isinstance(labels, MultiLabels):
        return functional.binary_cross_entropy_with_logits(scaled, truth)
    return -(truth * torch.log_softmax(scaled, 1)).sum(1).mean()


def _bounded(log_temperature: torch.Tensor) -> torch.Tensor:
    return log_temperature.exp().clamp(LOWEST, HIGHEST)
