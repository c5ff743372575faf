"""A published encoder learns the labels first; what it thinks of every row then teaches the small model.

Hinton et al. 2015, Distilling the Knowledge in a Neural Network. The encoder has read far more than the
recipe's rows, so it knows words that they lack; rows without a label teach as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from pipeline.batches import balanced
from pipeline.encoder import Encoder, load_encoder
from pipeline.kept import fingerprint, keep, kept
from pipeline.recipe import Recipe, Teacher, progress
from pipeline.rows import Row
from pipeline.training import Phase, epochs, train
from shared.errors import RecipeError

HEAD = 40.0  # the head's weights move with the body's small steps, and its answers must move much more
TEXTS_AT_ONCE = 64
SHARED = {"seed", "balance", "smoothing", "averaging", "judge_steps", "patience"}  # with the model
SPREAD = 0.05  # standard deviation of the first embeddings


@dataclass(frozen=True)
class Coded:
    """A row for the encoder: token ids, and the number of its label."""

    ids: list[int]
    label: int


class Opinion(NamedTuple):
    """What the teacher thinks of rows: `probabilities` [rows, labels], and `vectors` [rows, size] in fp16."""

    probabilities: torch.Tensor
    vectors: torch.Tensor


class Classifier(nn.Module):
    """The encoder with a linear layer on top."""

    def __init__(self, encoder: Encoder, labels: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.size, labels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, rows: Sequence[list[int]], dropout: float = 0.0) -> torch.Tensor:
        """Logits: [rows, labels]"""
        pooled: torch.Tensor = functional.dropout(self.encoder(rows), dropout, self.training)
        logits: torch.Tensor = HEAD * self.head(pooled)
        return logits

    @torch.inference_mode()
    def read(self, rows: Sequence[list[int]]) -> Opinion:
        """Every row, those of like length together."""
        self.eval()
        vectors = torch.empty(len(rows), self.encoder.size)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), TEXTS_AT_ONCE):
            some = order[start : start + TEXTS_AT_ONCE]
            vectors[some] = self.encoder([rows[i] for i in some])
        return Opinion((HEAD * self.head(vectors)).softmax(-1), vectors.half())


def taught(
    recipe: Recipe, teacher: Teacher, splits: dict[str, list[Row]], names: Sequence[str], work: Path
) -> dict[str, Opinion]:
    """What the taught encoder thinks of the rows of each split.

    Args:
        splits: `train`, whose labels are learned, `calibration`, which says how well, and any others.
    """
    path = work / "taught.pt"
    told = {split: [(row.text, row.label, row.repeat) for row in rows] for split, rows in splits.items()}
    how = teacher.model_dump(exclude={"ngrams", "weight", "vector_weight"})
    key = fingerprint(how, recipe.training.model_dump(include=SHARED), list(names), told)
    if known := kept(path, key):
        return {split: Opinion(*opinion) for split, opinion in known["opinions"].items()}
    torch.manual_seed(recipe.training.seed)
    encoder = own_encoder(teacher, recipe)
    coded = _coded(encoder, splits, names)
    encoder.freeze(teacher.frozen_layers)
    model = Classifier(encoder, len(names))
    phase = _phase(teacher, recipe, splits["train"], coded)
    train(model, phase, _pace(teacher, recipe), work / "teacher.pt", key)
    progress("teacher: reading every row")
    opinions = {split: model.read([one.ids for one in rows]) for split, rows in coded.items()}
    keep(path, key, {"opinions": {split: tuple(opinion) for split, opinion in opinions.items()}})
    return opinions


def labelled(rows: Sequence[Row], probabilities: torch.Tensor, names: Sequence[str]) -> list[Row]:
    """Rows without a label get the teacher's."""
    best = probabilities.argmax(-1).tolist()
    return [row if row.label else replace(row, label=names[i]) for row, i in zip(rows, best, strict=True)]


def own_encoder(teacher: Teacher, recipe: Recipe) -> Encoder:
    """The encoder as it was published.

    Raises:
        RecipeError: its vectors have fewer numbers than the model's embeddings, which begin with them.
    """
    encoder = load_encoder(teacher.longest, recipe.folder / teacher.file if teacher.file else None)
    if recipe.model.hidden > encoder.size:
        raise RecipeError(
            f"model.hidden is {recipe.model.hidden}, but the teacher's vectors, with which embeddings begin, "
            f"have {encoder.size} numbers: take at most {encoder.size}, or no teacher"
        )
    return encoder


def word_vectors(encoder: Encoder, tokenizer: Any, size: int) -> torch.Tensor:
    """Embeddings to begin with: the encoder's vectors of each piece's text, by their principal components.

    Returns:
        [pieces, size]; pieces that are no text of their own get the mean, which is 0.
    """
    encoder.eval()
    pieces = [tokenizer.decode([i]) for i in range(len(tokenizer))]
    whole = [i for i, piece in enumerate(pieces) if piece.strip() and "\ufffd" not in piece]
    coded = encoder.encode([pieces[i] for i in whole])
    vectors = torch.cat([encoder(coded[start : start + 256]).detach() for start in range(0, len(coded), 256)])
    vectors -= vectors.mean(0)
    _, _, directions = torch.linalg.svd(vectors, full_matrices=False)
    vectors = vectors @ directions[:size].T
    result = torch.randn(len(tokenizer), size) * SPREAD / 2
    result[whole] = vectors * (SPREAD / vectors.std())
    return result


def _coded(encoder: Encoder, splits: dict[str, list[Row]], names: Sequence[str]) -> dict[str, list[Coded]]:
    ids = {split: encoder.encode([row.text for row in rows]) for split, rows in splits.items()}
    encoder.keep_only({token for rows in ids.values() for row in rows for token in row})
    number = {name: i for i, name in enumerate(names)} | {"": -1}
    return {
        split: [
            Coded(encoder.renumbered(one), number[row.label])
            for one, row in zip(ids[split], rows, strict=True)
        ]
        for split, rows in splits.items()
    }


def _phase(teacher: Teacher, recipe: Recipe, rows: Sequence[Row], coded: dict[str, list[Coded]]) -> Phase:
    training = recipe.training
    examples, checked = coded["train"], coded["calibration"]
    batches = epochs(
        teacher.epochs,
        [len(one.ids) for one in examples],
        lambda seed: balanced(rows, training.balance, seed),
        training.model_copy(update={"batch_tokens": teacher.batch_tokens}),
    )

    def loss(model: Classifier, number: int) -> torch.Tensor:
        some = [examples[i] for i in batches[number]]
        gold = torch.tensor([one.label for one in some])
        logits = model([one.ids for one in some], teacher.dropout)
        return functional.cross_entropy(logits, gold, label_smoothing=training.smoothing)

    def judge(model: Classifier) -> float:
        if not checked:
            return 0.0
        found = model.read([one.ids for one in checked]).probabilities
        gold = torch.tensor([one.label for one in checked])
        progress(f"teacher: accuracy on calibration rows {(found.argmax(-1) == gold).float().mean():.3f}")
        return float(functional.nll_loss(found.clamp_min(1e-9).log(), gold))

    return Phase("teacher", len(batches), teacher.rate, loss, judge)


def _pace(teacher: Teacher, recipe: Recipe) -> Any:
    return recipe.training.model_copy(update={"weight_decay": teacher.weight_decay, "embedding_pace": 0.0})
