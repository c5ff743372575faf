"""A few texts that show whether labels and prompt fit a model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from shared.errors import ArtifactError, ItemError
from worker.engine.protocol import Classification
from worker.engine.transformers_engine import TransformersEngine

LOW_MASS = 0.5


@dataclass(frozen=True)
class Example:
    """A text, and its label where it is known."""

    text: str
    label: str | None = None


def report(engine: TransformersEngine, examples: Sequence[Example]) -> str:
    """What the model answers to the examples, their accuracy, and a warning when it would say something else.

    Raises:
        ArtifactError: an example has a label that is none of the model's.
    """
    names = engine.describe().labels
    for example in examples:
        if example.label is not None and example.label not in names:
            raise ArtifactError(
                f"the examples hold the label {example.label!r}, which is not among the labels"
            )
    answers = engine.classify([example.text for example in examples])
    lines, masses, right, known = [], [], 0, 0
    for number, (example, answer) in enumerate(zip(examples, answers, strict=True), start=1):
        if isinstance(answer, ItemError):
            lines.append(f"example {number}: {answer}")
            continue
        lines.append(_line(number, answer, example))
        masses.append(answer.label_mass)
        known += example.label is not None
        right += example.label == answer.label
    if known:
        lines.append(f"accuracy on {known} labelled examples: {right / known:.3f}")
    if masses:
        lines.append(f"label mass: median {median(masses):.3f}, least {min(masses):.3f}")
        if median(masses) < LOW_MASS:
            lines.append(
                "warning: left alone, the model would mostly answer something that is no label. Its prompt "
                "is probably not the one that it was trained with: compare --system, --user, --answer and "
                "the labels with the training data, character by character"
            )
    return "\n".join(lines)


def _line(number: int, answer: Classification, example: Example) -> str:
    wanted = f", expected {example.label}" if example.label not in (None, answer.label) else ""
    return (
        f"example {number}: {answer.label} (p {answer.probability:.2f}, mass {answer.label_mass:.2f}){wanted}"
    )


def read_examples(path: Path) -> list[Example]:
    """JSON lines with `text` and, where it is known, `label`.

    Raises:
        ArtifactError: names the line that is none.
    """
    examples = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            examples.append(Example(str(row["text"]), row.get("label")))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ArtifactError(f"{path}, line {number}: no JSON object with `text` and `label`") from None
    return examples
