"""Fits an artifact's scale and thresholds anew, and judges them on rows that were not fitted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.calibration import logits_of, truth_of
from pipeline.fitting import Fit, above, fit, judge, probabilities, threshold
from pipeline.rows import Row
from worker.engine.calibration import Abstention, Calibration, Scale
from worker.engine.labels import LabelSet
from worker.engine.question import Question

Judged = tuple[torch.Tensor, torch.Tensor]  # probabilities and truth, both [rows, labels]
LINE = "{:<6}{:<19}{:>11}{:>10}{:>8}{:>8}{:>8}"


@dataclass(frozen=True)
class Result:
    """One data type.

    Attributes:
        scale: what was fitted.
        before: the reporting half as the artifact served it until now.
        temperature_alone: the reporting half without biases, where biases were fitted.
        after: the reporting half with what was fitted.
        abstain: the thresholds, and what they mean on the reporting half.
        unreachable: wished precisions that no threshold has, or none that answers a row of the other half.
        lost: what the artifact had and has no more.
    """

    scale: Scale
    before: Fit
    temperature_alone: Fit | None
    after: Fit
    abstain: tuple[Abstention, ...]
    unreachable: tuple[float, ...]
    lost: tuple[str, ...]


def refit(
    question: Question,
    halves: tuple[Sequence[Row], Sequence[Row]],
    known: Calibration,
    data_type: str,
    with_bias: bool,
    wished: Sequence[float],
) -> Result:
    """
    Args:
        halves: rows to fit, and rows to report on.
        known: the artifact's calibration until now.
        wished: precisions to find thresholds for.

    Raises:
        RecipeError: the label of a row is not one of the question's.
    """
    (fitting, reporting), labels = halves, question.labels
    learn, learn_truth = logits_of(question, fitting), truth_of(labels, fitting)
    check, check_truth = logits_of(question, reporting), truth_of(labels, reporting)
    scale = fit(learn, learn_truth, labels, with_bias)
    fitted, checked = (probabilities(logits, scale, labels) for logits in (learn, check))
    asked = wished if isinstance(labels, LabelSet) else ()
    found = {share: abstention(share, (fitted, learn_truth), (checked, check_truth)) for share in asked}

    def on_the_other_half(one: Scale) -> Fit:
        return judge(probabilities(check, one, labels), check_truth, labels)

    return Result(
        scale,
        before=on_the_other_half(known.for_type(data_type)),
        temperature_alone=on_the_other_half(fit(learn, learn_truth, labels, False)) if with_bias else None,
        after=on_the_other_half(scale),
        abstain=tuple(one for one in found.values() if one),
        unreachable=tuple(share for share, one in found.items() if one is None),
        lost=_lost(known, data_type, with_bias, wished),
    )


def abstention(precision: float, fitted: Judged, checked: Judged) -> Abstention | None:
    """The threshold by the fitted rows, and what it means on the others; None where none is high enough,
    or so high that it answers none of these."""
    least = threshold(*fitted, precision)
    if least is None:
        return None
    least = int(least * 10_000) / 10_000
    coverage, reached = above(*checked, least)
    if not coverage:  # a threshold of which nothing is known
        return None
    return Abstention(
        precision=precision,
        threshold=least,
        coverage=round(coverage, 4),
        reached=round(reached, 4),
        items=len(checked[0]),
    )


def told(results: dict[str, Result]) -> str:
    """For a person at a terminal."""
    lines = [LINE.format("type", "", "temperature", "accuracy", "nll", "Brier", "ECE")]
    for data_type, result in results.items():
        fitted = str(result.scale.temperature)
        lines.append(_line(data_type, "as it was", "", result.before))
        if result.temperature_alone:
            lines.append(_line(data_type, "temperature alone", "", result.temperature_alone))
        lines.append(
            _line(data_type, "with biases" if result.scale.bias else "temperature", fitted, result.after)
        )
        if result.after.nll > result.before.nll:
            lines.append(
                f"{data_type}: stored, though worse than it was on rows that were not fitted now "
                "(were they fitted before?); more rows may help"
            )
        lines += [
            f"{data_type}: abstain_below {one.threshold} answers {one.coverage:.1%} of {one.items} rows, "
            f"{one.reached:.1%} of them right ({_wished(one)})"
            for one in result.abstain
        ]
        lines += [
            f"{data_type}: no threshold that answers anything reaches {share:.1%}"
            for share in result.unreachable
        ]
        lines += [f"{data_type}: removed, as it was not asked for again: {what}" for what in result.lost]
    return "\n".join(lines)


def _wished(one: Abstention) -> str:
    return f"{'' if one.reached >= one.precision else 'less than '}wished {one.precision:.1%}"


def _line(data_type: str, what: str, temperature: str, one: Fit) -> str:
    shares = (f"{value:.3f}" for value in (one.accuracy, one.nll, one.brier, one.ece))
    return LINE.format(data_type, what, temperature, *shares)


def _lost(known: Calibration, data_type: str, with_bias: bool, wished: Sequence[float]) -> tuple[str, ...]:
    """What a new temperature makes void and nobody asked to fit again."""
    biases = ("biases (--bias)",) if known.bias.get(data_type) and not with_bias else ()
    shares = [one.precision for one in known.abstain.get(data_type, ()) if one.precision not in wished]
    return biases + tuple(f"the threshold of --precision {share}" for share in shares)
