"""What a label is, and the file taxonomy.toml that lists a model's labels."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.errors import ArtifactError
from shared.toml_file import read_toml

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


SlotName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*$")]


class Label(BaseModel):
    """One category: an ASCII id that never changes and its names in both languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
    zh: Name
    en: Name
    description: str = ""
    aliases: tuple[Name, ...] = ()


class Taxonomy(BaseModel):
    """What a model can answer with, in a fixed order: labels, or values of several slots."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    language: Literal["zh", "en"] = "zh"
    labels: Annotated[tuple[Label, ...], Field(max_length=1000)] = ()
    slots: dict[SlotName, Annotated[tuple[Name, ...], Field(min_length=2)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_kind(self) -> "Taxonomy":
        if bool(self.labels) == bool(self.slots):
            raise ValueError("needs labels or slots, and not both")
        if self.labels and len(self.labels) < 2:
            raise ValueError("labels needs at least 2")
        for slot, values in self.slots.items():
            if len(set(values)) < len(values):
                raise ValueError(f"slots.{slot} has a value twice")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> "Taxonomy":
        for kind in ("id", "zh", "en"):
            values = [getattr(label, kind) for label in self.labels]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"labels share the same {kind}: {', '.join(twice)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The label names that answers use, in the taxonomy's language; of slots, every value once."""
        values = dict.fromkeys(value for slot in self.slots.values() for value in slot)
        return tuple(values) or tuple(getattr(label, self.language) for label in self.labels)

    @property
    def forms(self) -> dict[str, tuple[str, ...]]:
        """Name -> aliases."""
        return {name: label.aliases for name, label in zip(self.names, self.labels, strict=True)}


def load_taxonomy(path: Path) -> Taxonomy:
    """Read taxonomy.toml.

    Raises:
        ArtifactError: the file is missing, is not TOML or breaks a rule above.
    """
    return read_toml(Taxonomy, path, "taxonomy", ArtifactError, ": it lists the labels of the model")
