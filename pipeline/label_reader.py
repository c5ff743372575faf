"""What a source calls a row, or someone who read it -> what the model shall answer."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.recipe import Recipe
from pipeline.source import Source
from pipeline.tables import NOTHING, Numbered, read_table
from shared.errors import RecipeError
from shared.taxonomy import Taxonomy
from worker.engine.prompt_template import PromptTemplate

MOST_NAMED = 20  # unknown labels named in one refusal


class Unknown:
    """A label that neither taxonomy nor recipe knows."""

    def __init__(self, name: str):
        self.name = name


class LabelReader:
    """What a source calls a row -> what the model shall answer."""

    def __init__(self, source: Source, taxonomy: Taxonomy, recipe: Recipe):
        self._source = source
        self._names = set(taxonomy.names)
        self._slots = taxonomy.slots
        self._template = recipe.prompt

    def given(self, value: dict[str, Any]) -> Any:
        """The label field; with a field for each slot, a list of their values."""
        if self._source.slots:
            return [value.get(field) for field in self._source.slots.values()]
        return value.get(self._source.label)

    def why_none(self, given: Any) -> str:
        """Why a row has no answer."""
        if all(value in NOTHING for value in (given if isinstance(given, list) else [given])):
            return "without a label"
        return "dropped by the recipe" + (", or no value for a slot" if self._slots else "")

    def answers(self, given: Any, text: str | None) -> list[str] | Unknown:
        """The right answers, best first; none where the recipe drops the row or a slot has no value.

        Args:
            text: for the recipe's rulings; None when `given` is the taxonomy's already.
        """
        if not self._slots:
            label = self._mapped("" if given is None else str(given), text)
            return Unknown(str(given)) if label and label not in self._names else [label] if label else []
        values = given.split(self._template.label_separator) if isinstance(given, str) else list(given or [])
        present = [str(value) for value in values if value is not None]
        mapped = [label for value in present if (label := self._mapped(value, text))]
        for label in mapped:
            if label not in self._names:
                return Unknown(label)
        return filled(
            self._template,
            {slot: [one for one in mapped if one in known] for slot, known in self._slots.items()},
        )

    def _mapped(self, given: str, text: str | None) -> str:
        """The taxonomy's label; "" for one that the recipe drops; `given` when nothing maps it."""
        if text is None:
            return given
        for ruling in self._source.rulings:
            if ruling.applies(given, text):
                return ruling.label
        if given in self._source.drop:
            return ""
        return given if self._source.map is None else self._source.map.get(given, given)


def filled(template: PromptTemplate, slots: Mapping[str, Sequence[str]]) -> list[str]:
    """The answers that take one of the values for each slot."""
    return [template.fill(**dict(zip(slots, chosen, strict=True))) for chosen in product(*slots.values())]


def all_answers(taxonomy: Taxonomy, template: PromptTemplate) -> dict[str, tuple[str, ...]]:
    """Every answer there is, and what it consists of: its label, or `slot=value` for each slot."""
    if not taxonomy.slots:
        return {name: (name,) for name in taxonomy.names}
    chosen = product(*taxonomy.slots.values())
    parts = (
        tuple(f"{slot}={value}" for slot, value in zip(taxonomy.slots, one, strict=True)) for one in chosen
    )
    return dict(zip(filled(template, taxonomy.slots), parts, strict=True))


def labels_by_id(path: Path, field: str) -> dict[str, Any]:
    """Ids as text: a .csv has no numbers.

    Raises:
        RecipeError: an id has two labels; names their rows.
    """
    found: dict[str, Numbered] = {}
    for number, value in read_table(path, ["id", field]):
        first, known = found.setdefault(str(value["id"]), (number, value))
        if known[field] != value[field]:
            raise RecipeError(
                f"{path}, rows {first} and {number}: id {value['id']} has two labels, "
                f"{known[field]!r} and {value[field]!r}; leave one of them"
            )
    return {identity: value[field] for identity, (_, value) in found.items()}


def corrections(source: Source, recipe: Recipe, reader: LabelReader) -> dict[str, list[str]]:
    """Id -> answers that someone decided by reading.

    Raises:
        RecipeError: one of them is no label of the taxonomy, or lacks the value of a slot.
    """
    if source.corrections is None:
        return {}
    path = recipe.folder / source.corrections
    corrected, wrong = {}, []
    for identity, given in labels_by_id(path, "label").items():
        answers = reader.answers(given, None)
        if isinstance(answers, Unknown) or not answers:
            wrong.append(f"id {identity}: label {given!r}")
        else:
            corrected[identity] = answers
    if wrong:
        raise RecipeError(
            f"{path}, {listed(wrong)}: not in the taxonomy, whose own labels corrections are written in"
        )
    return corrected


def refuse_unknown(labels: Iterable[tuple[str, str]], names: Sequence[str]) -> None:
    """Raises RecipeError when a label is none of an artifact's `names`: it could only be counted as wrong.

    Args:
        labels: of rows, each behind its row's id.
    """
    known = set(names)
    unknown = [f"row {identity}: {label!r}" for identity, label in labels if label not in known]
    if unknown:
        raise RecipeError(f"{listed(unknown)} is not among the artifact's labels: {listed(names)}")


def listed(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
    return "; ".join(faults[:MOST_NAMED]) + more
