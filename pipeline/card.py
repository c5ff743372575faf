"""The model card: README.md of an artifact, written from its manifest and metrics."""

from typing import Any

CARD = """\
# {name}

A small language model (Qwen3 architecture, {parameters:.1f} million parameters, trained from scratch) that
files Chinese and English news under {labels} labels. It answers `{answer}`.
Revision `{revision}`, made {created}.

## How it was made
```
{commands}
```
Seed {seed}; all of the recipe and the versions used stand in `manifest.json`. Rows by source and split:

| source | train | calibration | held out |
|---|---:|---:|---:|
{rows}

`docs/pipeline.md` says where the data sets come from and under which licences. None of their texts is in
this folder; pieces of the vocabulary are at most {piece} bytes long.

## What it is worth
{figures}

Held-out Chinese flash news are the last tenth of the source in time; tweets and headlines are chosen by a
hash. Written items were made up by the project's authors and never trained on. Probabilities are divided
by one temperature, fitted on the calibration rows alone.

## Limits
- One label per item, after the taxonomy's rulings; about 4 % of real items carry a second topic.
- The Chinese news is of December 2021 and January 2022, the tweets of 2022: later names and events are
  new to it. Company names it has not met are guessed from their surroundings.
- Labels of the tweets are their source's, mapped by the recipe; they are noisy, and so are figures on them.
- It reads the start and the end of long texts, {item_tokens} pieces in all.

Not for trading, for moderation, or for decisions about people. For better answers fine-tune a pretrained
model: `docs/pipeline.md`.
"""


def card(manifest: dict[str, Any], metrics: dict[str, Any] | None = None) -> str:
    """The text of README.md; without metrics it says how to measure."""
    recipe = manifest["recipe"]
    return CARD.format(
        name=manifest["name"],
        parameters=manifest["parameters"] / 1e6,
        labels=manifest["labels"],
        answer=recipe["prompt"]["answer"],
        revision=manifest["revision"],
        created=manifest["created"],
        commands="\n".join(manifest["commands"]),
        seed=recipe["training"]["seed"],
        rows=_rows(manifest["data"]["sources"]),
        piece=recipe["tokenizer"]["longest_piece"],
        figures=_figures(metrics),
        item_tokens=recipe["prompt"]["item_tokens"],
    )


def _rows(sources: dict[str, dict[str, int]]) -> str:
    return "\n".join(
        f"| {name} | {rows.get('train', 0)} | {rows.get('calibration', 0)} | {rows.get('held_out', 0)} |"
        for name, rows in sources.items()
    )


def _figures(metrics: dict[str, Any] | None) -> str:
    if metrics is None:
        return "Not measured yet: `python -m pipeline.evaluate`."
    head = "| group | items | accuracy | macro-F1 | calibration error |\n|---|---:|---:|---:|---:|"
    lines = [
        f"| {name} | {one['items']} | {one['accuracy']:.3f} | {one['macro_f1']:.3f} | {one['ece']:.3f} |"
        for name, one in metrics["groups"].items()
    ]
    return "\n".join([head, *lines])
