"""The cheap strong baseline, character n-grams and a linear classifier, beside the model on the same rows.

python -m bench.baseline --data DIR [--items FILE …] [--artifact models/newsroom-mini] [--finnl-only]

Where FinNL is among the data, the baseline (character 1-3-gram TF-IDF, digits folded, LinearSVC) must first
reproduce its figures there: official training split, tested on dev, best region and best topic. Then it is
trained on the recipe's training rows and measured on every group beside the artifact, which runs through the
serving engine. The last line is one JSON document.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.held_out import arguments, engine_of, prepared
from pipeline.answers import classify
from pipeline.figures import set_figures
from pipeline.ngrams import features, fit
from pipeline.rows import Row, key, read_rows
from pipeline.tables import read_jsonl
from shared.errors import WiredeskError

REGIONS = ("中国", "外国", "国际")
TOPICS = (
    *("公司", "行业", "大盘", "经济", "政策", "政治", "期货", "债券"),
    *("房地产", "外汇", "虚拟货币", "新冠", "能源"),
)
PUBLISHED = 0.891  # micro-F1 on FinNL dev, within 0.003
REST = "其他"
ROW = "{:<22} {:>6} {:>9} {:>7} {:>7}"


def main() -> None:
    parser = arguments("baseline", str(__doc__).splitlines()[0])
    parser.add_argument("--finnl-only", action="store_true", help="stop after the published figures")
    options = parser.parse_args()
    result: dict[str, Any] = {"bench": "baseline"}
    if options.finnl_only or (options.data / "finnl").is_dir():  # which data of one's own are not
        result["finnl_dev"] = finnl(options.data)
        print(f"FinNL dev: {result['finnl_dev']} (published micro-F1 {PUBLISHED})")
    if not options.finnl_only:
        work, rows = prepared(options)
        ours = [outcome.label for outcome in classify(engine_of(options), rows)]
        plain = Baseline(read_rows(work, "train")).labels([row.text for row in rows])
        result["groups"] = compare(rows, plain, ours)
    print(json.dumps(result, ensure_ascii=False))


class Baseline:
    """One linear classifier for each label, the most confident of which is the answer."""

    def __init__(self, rows: Sequence[Row]):
        self._features = features()
        grams = self._features.fit_transform([row.text for row in rows])
        self._model = fit(grams, [row.label for row in rows])

    def labels(self, texts: Sequence[str]) -> list[str]:
        return list(map(str, self._model.predict(self._features.transform(texts))))


def finnl(data: Path) -> dict[str, float]:
    """Micro-F1 over label sets, exact matches, and items with all gold labels covered, on dev."""
    dev = [row for _, row in read_jsonl(data / "finnl" / "dev.jsonl")]
    seen = {key(row["text"]) for row in dev}
    rows = [row for _, row in read_jsonl(data / "finnl" / "train.jsonl") if key(row["text"]) not in seen]
    grams = features()
    known, asked = (grams.fit_transform([r["text"] for r in rows]), grams.transform([r["text"] for r in dev]))
    scores = {
        label: fit(known, [label in row["labels_raw"] for row in rows]).decision_function(asked)
        for label in (*REGIONS, *TOPICS)
    }
    answers = [
        {max(some, key=lambda label: scores[label][i]) for some in (REGIONS, TOPICS)} for i in range(len(dev))
    ]
    measured = asdict(set_figures([row["labels_raw"] for row in dev], answers))
    return {name: round(measured[name], 4) for name in ("micro_f1", "exact_match", "all_covered")}


def compare(rows: Sequence[Row], plain: Sequence[str], ours: Sequence[str]) -> dict[str, dict[str, float]]:
    """Accuracy of both on each group, and on the written items that are no financial news."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.group, []).append(i)
        if row.group.startswith("written") and row.label == REST:
            groups.setdefault(f"written {REST}", []).append(i)
    print(ROW.format("group", "items", "baseline", "ours", "+"))
    result = {}
    for group, places in groups.items():
        theirs, own = (
            sum(answers[i] == rows[i].label for i in places) / len(places) for answers in (plain, ours)
        )
        result[group] = {"items": len(places), "baseline": round(theirs, 4), "ours": round(own, 4)}
        print(ROW.format(group, len(places), f"{theirs:.3f}", f"{own:.3f}", f"{100 * (own - theirs):+.1f}"))
    return result


if __name__ == "__main__":
    try:
        main()
    except WiredeskError as problem:
        sys.exit(f"baseline: {problem}")
