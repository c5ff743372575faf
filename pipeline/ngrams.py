"""What a linear classifier of character n-grams thinks of rows that it did not learn from.

It knows the rows' own words by heart, an encoder knows others: together they are right more often than
either. Asked out of fold (Wolpert 1992, Stacked Generalization): it is too sure of rows that it learned.
"""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from pipeline.calibration import best_temperature
from pipeline.excerpts import whole_of
from pipeline.kept import fingerprint, keep, kept
from pipeline.recipe import progress
from pipeline.rows import Row
from shared.errors import RecipeError

FOLDS = 4
STRENGTH = 0.5  # C of the classifier
AT_ONCE = 20_000  # texts whose n-grams are in memory
SHARPNESS = 10.0  # brings margins to where the temperatures are that are tried


def features() -> TfidfVectorizer:
    """Character 1- to 3-grams that occur twice, counts dampened, any digit read as 0."""
    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, preprocessor=folded
    )


def folded(text: str) -> str:
    return re.sub(r"\d", "0", text.lower())


def fit(grams: Any, labels: Sequence[Any]) -> LinearSVC:
    """One classifier for each label, against the rest; of two labels, one for both."""
    return LinearSVC(C=STRENGTH, random_state=0).fit(grams, labels)


def second_opinion(splits: dict[str, list[Row]], names: Sequence[str], work: Path) -> dict[str, torch.Tensor]:
    """Probabilities [rows, labels] of each split; kept in `work`.

    Args:
        splits: `train`, whose labels are learned, `calibration`, and others, perhaps with parts of its texts.

    Raises:
        RecipeError: there are too few rows, or too few labels, to learn from.
    """
    path = work / "ngrams.pt"
    told = {split: [(row.id, row.text, row.label) for row in rows] for split, rows in splits.items()}
    key = fingerprint(FOLDS, SHARPNESS, STRENGTH, list(names), told)
    if known := kept(path, key):
        return dict(known["opinions"])
    progress("n-grams: learning, then reading every row")
    grams, rows = features(), splits["train"]
    try:
        models = _learn(grams.fit_transform([row.text for row in rows]), rows)
    except ValueError as error:
        raise RecipeError(f"the teacher's ngrams need more rows, of two labels at least: {error}") from None
    learned = {whole_of(row) for row in rows}
    margins = {split: _read(models, grams, some, names, learned) for split, some in splits.items()}
    temperature, _ = best_temperature(margins["train"], _numbers(rows, names))
    opinions = {split: (own / temperature).softmax(-1) for split, own in margins.items()}
    right = opinions["calibration"].argmax(-1) == _numbers(splits["calibration"], names)
    progress(f"n-grams: accuracy on calibration rows {right.float().mean():.3f}")
    keep(path, key, {"opinions": opinions})
    return opinions


def _learn(grams: Any, rows: Sequence[Row]) -> list[LinearSVC]:
    """For each fold a model of the others' rows."""
    folds = [_fold_of(row) for row in rows]
    others = [[i for i, own in enumerate(folds) if own != fold] for fold in range(FOLDS)]
    return [fit(grams[some], [rows[i].label for i in some]) for some in others]


def _numbers(rows: Sequence[Row], names: Sequence[str]) -> torch.Tensor:
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number[row.label] for row in rows], dtype=torch.long)


def _fold_of(row: Row) -> int:
    """The same for a text and its parts."""
    return zlib.crc32(whole_of(row).encode()) % FOLDS


def _read(
    models: Sequence[LinearSVC],
    grams: TfidfVectorizer,
    rows: Sequence[Row],
    names: Sequence[str],
    learned: set[str],
) -> torch.Tensor:
    """Margins [rows, labels]: a row that was learned, or a part of one, is read by the model of its own fold,
    any other by all."""
    margins = torch.empty(len(rows), len(names))
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        read = grams.transform([row.text for row in some])
        by_model = torch.stack([_margins(model, read, names) for model in models])
        own = torch.tensor([_fold_of(row) for row in some])
        blind = by_model[own, torch.arange(len(some))]
        known = torch.tensor([whole_of(row) in learned for row in some])
        margins[start : start + len(some)] = torch.where(known[:, None], blind, by_model.mean(0))
    return margins


def _margins(model: LinearSVC, read: Any, names: Sequence[str]) -> torch.Tensor:
    """A label that no row of the other folds has is as far away as the farthest."""
    said = torch.tensor(model.decision_function(read), dtype=torch.float32)
    if said.dim() == 1:  # of two labels the second's
        said = torch.stack([-said, said], dim=1)
    margins = said.min(1, keepdim=True).values.expand(-1, len(names)).clone()
    margins[:, [list(names).index(label) for label in model.classes_]] = said
    return SHARPNESS * margins
