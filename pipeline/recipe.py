"""The recipe of a model: which data, which split, which shape, which training; one TOML file."""

import sys
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import RecipeError
from worker.engine.prompt import PromptTemplate

Share = Annotated[float, Field(ge=0, lt=1)]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Part):
    """One file of labelled texts (JSON lines).

    Attributes:
        labels_file: ids and labels in a file of their own, joined by `id`.
        map: label of the source -> label of the taxonomy; without it labels are used as they are.
        drop: labels of the source whose rows are left out.
        held_out, calibration: shares of the rows, chosen by a hash of the text, that training never sees.
        group: name under which the held-out rows are reported.
    """

    name: str
    file: str
    group: str
    text: str = "text"
    label: str = "label"
    labels_file: str | None = None
    map: dict[str, str] | None = None
    drop: tuple[str, ...] = ()
    held_out: Share = 0.1
    calibration: Share = 0.03
    repeat: Annotated[int, Field(ge=1)] = 1


class TokenizerRecipe(Part):
    vocabulary: Annotated[int, Field(ge=300, le=200_000)] = 8192
    longest_piece: Annotated[int, Field(ge=1, le=64)] = 12


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
        averaging: decay of the weights' moving average.
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
    weight_decay: float = 0.05
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.998
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 60


class Recipe(Part):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    taxonomy: Path
    prompt: PromptTemplate
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    model: ModelShape = ModelShape()
    training: Training = Training()


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
    return recipe.model_copy(update={"taxonomy": (path.parent / recipe.taxonomy).resolve()})


def progress(line: str) -> None:
    """A line for the person at the terminal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
