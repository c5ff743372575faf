"""The recipe of a model: which data, which split, which shape, which training; one TOML file."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.agreement import disagreements
from pipeline.source import Part, Share, Source
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy
from shared.toml_file import read_toml
from worker.engine.prompt_template import PromptTemplate

Size = Annotated[int, Field(gt=0)]


class TokenizerRecipe(Part):
    """Attributes:
    longest_piece: bytes; no sentence of the data survives in a vocabulary of short pieces.
    fold: read traditional characters as simplified, full width as half width, capitals as small letters.
    """

    vocabulary: Annotated[int, Field(ge=300, le=200_000)] = 8192
    longest_piece: Annotated[int, Field(ge=1, le=64)] = 12
    fold: bool = False


class ModelShape(Part):
    """Dimensions of a Qwen3 decoder trained from scratch.

    Attributes:
        heads: a multiple of `kv_heads`, each of which so many share.
        head_dim: even, because positions turn its numbers in pairs.
        embeddings: as what they are stored, most of a small model's weights: float8 (e4m3) takes half the
            room of float16 and moves a value by about 3 %; in memory they are as all other weights.
    """

    hidden: Size = 256
    layers: Size = 4
    heads: Size = 8
    kv_heads: Size = 4
    head_dim: Annotated[Size, Field(multiple_of=2)] = 32
    intermediate: Size = 768
    embeddings: Literal["float16", "float8"] = "float16"

    @model_validator(mode="after")
    def _shares_heads_evenly(self) -> "ModelShape":
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        return self


class Training(Part):
    """How to train.

    Attributes:
        batch_tokens: padded tokens of a batch.
        lm_weight: weight of the language-model loss in the label phase.
        balance: 0 takes labels as often as they occur, 1 all equally often.
        split_pieces, leave_out: chance that a piece of the item is split into the two it was merged of,
            or left out; the label phase never sees a text twice in the same form.
        typos: chance that an item is mistyped, in one of twenty characters.
        cut: chance that an item loses its end, a tenth to half of it.
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
    cut: Share = 0.0
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
        epochs, rate, batch_tokens, weight_decay, dropout: its own training; without epochs it only lends word
            vectors.
        frozen_layers: lowest layers that stay as published, which saves time.
        longest: tokens that it reads of a text.
        excerpts: random parts of each text of some length that it labels too, as more rows for the model.
        ngrams: share that a linear classifier of character n-grams, asked out of fold, has in its opinion;
            needs epochs.
        weight: of the loss that follows its probabilities of whole answers; the loss on the tokens of the
            rows' labels weighs the rest.
        vector_weight: weight, beside the label loss, of the distance from its vectors of the texts.
    """

    file: str | None = None
    epochs: Annotated[float, Field(ge=0)] = 1.5
    rate: float = 8e-5
    batch_tokens: Annotated[int, Field(ge=64)] = 3072
    weight_decay: float = 0.01
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    frozen_layers: Annotated[int, Field(ge=0)] = 4
    longest: Annotated[int, Field(ge=64, le=512)] = 128
    excerpts: Annotated[int, Field(ge=0)] = 0
    ngrams: Share = 0.0
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    vector_weight: Annotated[float, Field(ge=0)] = 0.0


class Card(Part):
    """What the model card says beside what is measured.

    Attributes:
        files: what the model files, as in "a model that files … under 14 labels".
        data: where the texts come from.
        figures: of which rows the figures are.
        limits: lines.
        licence: of the weights.
    """

    files: str = "texts"
    data: str = ""
    figures: str = ""
    limits: tuple[str, ...] = ()
    licence: str = ""


class Recipe(Part):
    """Attributes:
    path: the recipe's file; paths in it are relative to its folder.
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
    card: Card = Card()
    path: Annotated[Path, Field(exclude=True)] = Path()

    @property
    def folder(self) -> Path:
        return self.path.parent

    @field_validator("sources")
    @classmethod
    def _told_apart(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise ValueError(f"two are named {twice[0]!r}")
        return sources


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; its taxonomy path is relative to the recipe.

    Raises:
        RecipeError: the file is missing, is not TOML, or a field is wrong, or does not fit the taxonomy;
            names the field.
        ArtifactError: the taxonomy cannot be read.
    """
    recipe = read_toml(Recipe, path, "recipe", RecipeError)
    whole = path.resolve()
    taxonomy = (whole.parent / recipe.taxonomy).resolve()
    if wrong := [*disagreements(recipe.prompt, recipe.sources, load_taxonomy(taxonomy))]:
        raise RecipeError(f"{path} is not a valid recipe: {'; '.join(wrong)}")
    return recipe.model_copy(update={"path": whole, "taxonomy": taxonomy})


def progress(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
