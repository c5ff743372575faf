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
from pipeline.recipe import progress
from pipeline.rows import Row
from pipeline.training import fingerprint

FOLDS = 4
AT_ONCE = 20_000  # texts whose n-grams are in memory
SHARPNESS = 10.0  # brings margins to where the temperatures are that are tried


def features() -> TfidfVectorizer:
    """Character 1- to 3-grams that occur twice, counts dampened, any digit read as 0."""
    return TfidfVectorizer(
        analyzer="char", ngram_range=(1, 3), sublinear_tf=True, min_df=2, preprocessor=folded
    )


def folded(text: str) -> str:
    return re.sub(r"\d", "0", text.lower())


def fit(grams: Any, labels: Sequence[str]) -> LinearSVC:
    """One classifier for each label, against the rest."""
    return LinearSVC(C=0.5).fit(grams, labels)


def second_opinion(splits: dict[str, list[Row]], names: Sequence[str], work: Path) -> dict[str, torch.Tensor]:
    """Probabilities [rows, labels] of each split; kept in `work`.

    Args:
        splits: `train`, whose labels are learned, and others, with parts of its texts or without.
    """
    path = work / "ngrams.pt"
    told = {split: [(row.id, row.text, row.label) for row in rows] for split, rows in splits.items()}
    key = fingerprint(list(names), told)
    if path.is_file() and (known := torch.load(path, weights_only=True))["key"] == key:
        return dict(known["opinions"])
    progress("n-grams: learning, then reading every row")
    grams, rows = features(), splits["train"]
    known_grams, folds = grams.fit_transform([row.text for row in rows]), [fold_of(row) for row in rows]
    models = []
    for fold in range(FOLDS):
        others = [i for i, own in enumerate(folds) if own != fold]
        models.append(fit(known_grams[others], [rows[i].label for i in others]))
    learned = {row.id for row in rows}
    margins = {split: _read(models, grams, some, names, learned) for split, some in splits.items()}
    gold = torch.tensor([list(names).index(row.label) for row in rows])
    temperature, _ = best_temperature(margins["train"], gold)
    opinions = {split: (own / temperature).softmax(-1) for split, own in margins.items()}
    torch.save({"key": key, "opinions": opinions}, path)
    return opinions


def fold_of(row: Row) -> int:
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
        own = torch.tensor([fold_of(row) for row in some])
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
