"""The stand-in engine: takes a model's time and answers by a hash; for benchmarks and queue tests."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from shared.description import Description
from shared.errors import ItemError
from shared.taxonomy import load_taxonomy
from worker.engine.protocol import Classification

TAXONOMY = Path(__file__).parents[2] / "shared" / "taxonomies" / "newsroom.toml"


class StandIn:
    """Same protocol as the real engine. Served only when asked for by name (WIREDESK_MODEL=standin).

    Args:
        seconds: duration of one step, however many texts it holds.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._labels = load_taxonomy(TAXONOMY).names

    def classify(self, texts: Sequence[str]) -> list[Classification | ItemError]:
        if self._seconds:
            time.sleep(self._seconds)
        return [self._answer(text) for text in texts]

    def describe(self) -> Description:
        return Description(
            name="standin",
            revision="standin",
            labels=self._labels,
            device="none",
            quantization="none",
            memory_bytes=0,
        )

    def _answer(self, text: str) -> Classification:
        """The label at the place that the text's hash points to, with probability 0.9."""
        place = hashlib.sha256(text.encode()).digest()[0] % len(self._labels)
        rest = 0.1 / (len(self._labels) - 1)
        probabilities = {name: 0.9 if i == place else rest for i, name in enumerate(self._labels)}
        label = self._labels[place]
        return Classification(
            label=label,
            probabilities=probabilities,
            label_mass=1.0,
            truncated=False,
            answer=f"这条新闻属于：{label}",
            prompt_tokens=len(text),
            completion_tokens=len(label),
        )
