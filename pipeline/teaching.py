"""What teachers think of rows becomes the lesson of a model."""

from collections.abc import Sequence
from pathlib import Path

import torch

from pipeline.lesson import Lesson, lesson_of
from pipeline.recipe import Recipe, Teacher
from pipeline.rows import Row
from pipeline.teacher import labelled, taught
from shared.errors import RecipeError
from worker.engine.prompt import Prompt


def teach(
    recipe: Recipe,
    teacher: Teacher,
    splits: dict[str, list[Row]],
    prompt: Prompt,
    names: Sequence[str],
    work: Path,
) -> tuple[Lesson, list[Row]]:
    """What the teacher thinks of the rows to learn from, and these rows, each of them with a label."""
    second = _second_opinion(splits, names, work) if teacher.ngrams else {}
    found = taught(recipe, teacher, splits, names, work)
    probabilities, vectors = map(torch.cat, zip(found["train"], found["unlabelled"], strict=True))
    if second:
        other = torch.cat([second["train"], second["unlabelled"]])
        probabilities = mixed_opinion(probabilities, other, teacher.ngrams)
    rows = labelled([*splits["train"], *splits["unlabelled"]], probabilities, names)
    own = [names.index(row.label) for row in rows]
    return lesson_of([prompt.whole_answer(name) for name in names], own, probabilities, vectors), rows


def _second_opinion(
    splits: dict[str, list[Row]], names: Sequence[str], work: Path
) -> dict[str, torch.Tensor]:
    try:
        from pipeline.ngrams import second_opinion
    except ImportError:
        raise RecipeError(
            "the teacher has ngrams: pip install -r requirements-train.txt -c constraints.txt"
        ) from None
    return second_opinion(splits, names, work)


def mixed_opinion(one: torch.Tensor, other: torch.Tensor, share: float) -> torch.Tensor:
    """Two opinions [rows, labels] as one: their geometric mean, in which the second weighs `share`."""
    logs = (1 - share) * one.clamp_min(1e-9).log() + share * other.clamp_min(1e-9).log()
    return logs.softmax(-1)
