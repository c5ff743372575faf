"""The recipe of a model: which data, which split, which shape, which training; one TOML file."""

import re
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.errors import RecipeError
from worker.engine.prompt_template import PromptTemplate

Share = Annotated[float, Field(ge=0, lt=1)]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    return pattern


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ruling(Part):
    """Rows of a source that the taxonomy files elsewhere than the source's own label says.

    Attributes:
        pattern: regular expression, looked for anywhere in the text, case ignored.
        when: labels of the source that the ruling is for; empty is any.
    """

    pattern: Annotated[str, AfterValidator(_compiles)]
    label: str
    when: tuple[str, ...] = ()

    def applies(self, given: str, text: str) -> bool:
        return (not self.when or given in self.when) and bool(re.search(self.pattern, text, re.IGNORECASE))


class Source(Part):
    """One file of labelled texts: .jsonl, .csv or .parquet.

    Attributes:
        beside: where `file` lies: in the folder given as --data, or beside the recipe.
        label: field of the label; where the taxonomy has slots, of a list of values (or a text that joins
            them as the answer does), of which each slot takes the ones that it knows.
        slots: a field for each slot, instead of `label`.
        published: field of the label set as its authors published it, for measures over label sets.
        labels_file: ids and labels in a file of their own, joined by `id`.
        map: label of the source -> label of the taxonomy; without it labels are used as they are.
        rulings: looked at before `map` and `drop`, the first that applies decides.
        drop: labels of the source whose rows are left out.
        keep_dropped: their texts still train the language model, which needs no labels.
        held_out, calibration: shares of the rows that training never sees.
        held_out_by: the held-out rows are the file's last ones (news drifts), the latest by `held_out_field`,
            all those of some values of `held_out_field` (authors, sites), or chosen by a hash of their text.
        repeat: how often a row is seen in each pass over the labels.
        group: name under which the held-out rows are reported.
        licence: under which the texts are published, as far as it is known; for the model card.
    """

    name: str
    file: str
    group: str
    beside: Literal["data", "recipe"] = "data"
    text: str = "text"
    label: str = "label"
    slots: dict[str, str] = Field(default_factory=dict)
    published: str | None = None
    labels_file: str | None = None
    map: dict[str, str] | None = None
    rulings: tuple[Ruling, ...] = ()
    drop: tuple[str, ...] = ()
    keep_dropped: bool = False
    held_out: Annotated[float, Field(ge=0, le=1)] = 0.1
    held_out_by: Literal["order", "time", "source", "hash"] = "hash"
    held_out_field: str | None = None
    calibration: Share = 0.03
    repeat: Annotated[int, Field(ge=1)] = 1
    licence: str = "not stated"

    @model_validator(mode="after")
    def _has_its_field(self) -> "Source":
        if (self.held_out_by in ("time", "source")) != (self.held_out_field is not None):
            raise ValueError('held_out_field goes with held_out_by = "time" or "source", and they need it')
        return self


class TokenizerRecipe(Part):
    """Attributes:
    longest_piece: bytes; no sentence of the data survives in a vocabulary of short pieces.
    fold: read traditional characters as simplified, full width as half width, capitals as small letters.
    """

    vocabulary: Annotated[int, Field(ge=300, le=200_000)] = 8192
    longest_piece: Annotated[int, Field(ge=1, le=64)] = 12
    fold: bool = False


class ModelShape(Part):
    """Dimensions of a Qwen3 decoder trained from scratch."""

    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    intermediate: int = 768


class Training(Part):
    """How to train.

    Attributes:
        batch_tokens: padded tokens of a batch.
        lm_weight: weight of the language-model loss in the label phase.
        balance: 0 takes labels as often as they occur, 1 all equally often.
        split_pieces, leave_out: chance that a piece of the item is split into the two it was merged of,
            or left out; the label phase never sees a text twice in the same form.
        typos: chance that an item is mistyped, in one of twenty characters.
        smoothing: share of each label target that is spread over all tokens.
        embedding_pace: how fast embeddings learn beside other weights; below 1 where a teacher gave them.
        averaging: decay of the weights' moving average.
        judge_steps: steps between two looks at the calibration rows, which choose the weights to keep.
        patience: looks without a better one after which training stops; 0 goes on to the end.
    """

    seed: int = 1
    lm_epochs: Annotated[float, Field(ge=0)] = 1
    label_epochs: Annotated[float, Field(gt=0)] = 3
    batch_tokens: Annotated[int, Field(ge=64)] = 4096
    lm_rate: float = 2e-3
    label_rate: float = 1e-3
    lm_weight: Annotated[float, Field(ge=0)] = 0.1
    balance: Share = 0.4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    split_pieces: Share = 0.1
    leave_out: Share = 0.1
    typos: Share = 0.0
    smoothing: Share = 0.02
    weight_decay: float = 0.05
    embedding_pace: Annotated[float, Field(ge=0)] = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.998
    judge_steps: Annotated[int, Field(ge=1)] = 250
    patience: Annotated[int, Field(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60


class Teacher(Part):
    """The published encoder (pipeline/encoder.py) that learns the labels first, then teaches the model.

    Attributes:
        file: its weights, beside the recipe, when they are not those of the package.
        epochs, rate, batch_tokens, weight_decay: its own training; without epochs it only lends word vectors.
        frozen_layers: lowest layers that stay as published, which saves time.
        longest: tokens that it reads of a text.
        excerpts: random parts of each text of some length that it labels too, as more rows for the model.
        ngrams: share that a linear classifier of character n-grams, asked out of fold, has in its opinion.
        weight: share of the label loss that follows its probabilities, not the rows' labels.
        vector_weight: weight, beside the label loss, of the distance from its vectors of the texts.
    """

    file: str | None = None
    epochs: Annotated[float, Field(ge=0)] = 1.5
    rate: float = 8e-5
    batch_tokens: Annotated[int, Field(ge=64)] = 3072
    weight_decay: float = 0.01
    frozen_layers: Annotated[int, Field(ge=0)] = 4
    longest: Annotated[int, Field(ge=64, le=512)] = 128
    excerpts: Annotated[int, Field(ge=0)] = 0
    ngrams: Share = 0.0
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    vector_weight: Annotated[float, Field(ge=0)] = 0.0


class Recipe(Part):
    """Attributes:
    folder: where the recipe lies; paths in it are relative to that.
    exclude: files of evaluation texts in the data folder: a row with such a text is left out.
    near_duplicates: character 5-gram Jaccard index from which two texts count as one; 0 keeps all but copies.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    taxonomy: Path
    exclude: tuple[str, ...] = ()
    near_duplicates: Annotated[float, Field(ge=0, le=1)] = 0.8
    prompt: PromptTemplate
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    model: ModelShape = ModelShape()
    teacher: Teacher | None = None
    training: Training = Training()
    folder: Annotated[Path, Field(exclude=True)] = Path()


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; its taxonomy path is relative to the recipe.

    Raises:
        RecipeError: the file is missing, is not TOML, or a field is wrong; names the field.
    """
    try:
        recipe = Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RecipeError(f"{path} is missing") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise RecipeError(f"{path} is not a valid recipe: {error}") from None
    folder = path.parent.resolve()
    return recipe.model_copy(update={"folder": folder, "taxonomy": (folder / recipe.taxonomy).resolve()})


def progress(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
