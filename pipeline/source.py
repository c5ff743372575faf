"""A source of labelled texts, as a recipe describes it."""

import re
from glob import has_magic
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from shared.errors import RecipeError

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
        file: relative path, or a pattern as in a shell (`*.jsonl`) that stands for all files it matches.
        beside: where `file` lies: in the folder given as --data, or beside the recipe.
        label: field of the label; where the taxonomy has slots, of a list of values (or a text that joins
            them as the answer does), of which each slot takes the ones that it knows.
        slots: a field for each slot, instead of `label`.
        published: field of the label set as its authors published it, for measures over label sets.
        labels_file: ids and labels in a file of their own, joined by `id`.
        corrections: ids and labels that someone decided by reading, in a file beside the recipe; they are the
            taxonomy's, and go before `rulings`, `map` and `drop`.
        map: label of the source -> label of the taxonomy; without it labels are used as they are.
        rulings: looked at before `map` and `drop`, the first that applies decides.
        drop: labels of the source whose rows are left out.
        keep_dropped: their texts still train the language model, which needs no labels.
        held_out: share of the rows that nothing is learned or chosen by; 1 measures on the whole file.
        calibration: share of the other rows that chooses weights and fits probabilities.
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
    corrections: str | None = None
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

    @model_validator(mode="after")
    def _joins_one_file(self) -> "Source":
        if has_magic(self.file) and (self.labels_file or self.corrections):
            raise ValueError(
                "labels_file and corrections are joined by id, which several files may share: "
                "give each file a [[sources]] of its own instead of a pattern"
            )
        return self

    def files(self, folder: Path) -> list["Source"]:
        """This source, or one for each file that its pattern matches.

        Raises:
            RecipeError: it matches none.
        """
        if not has_magic(self.file):
            return [self]
        found = sorted(str(path.relative_to(folder)) for path in folder.glob(self.file))
        if not found:
            raise RecipeError(f"source {self.name!r}: no file in {folder} matches {self.file}")
        return [self.model_copy(update={"file": file}) for file in found]
