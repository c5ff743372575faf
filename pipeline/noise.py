"""Random changes of an item, so that few rows teach more than their own wording."""

import json
import random
from dataclasses import replace

from pipeline.batches import Example
from pipeline.recipe import Training
from worker.engine.prompt import Prompt

SHORTEST_SPLIT = 3  # bytes: one Chinese character stays whole
MISTYPED = 0.05  # of the characters of a text that is mistyped at all
LEFT = (0.5, 0.9)  # of an item that is cut


class Noise:
    """Some items are mistyped, some lose their end; pieces of all are split back into the two they were made
    of (after Provilkov et al. 2020, BPE-Dropout; here seeded), or left out.
    """

    def __init__(self, prompt: Prompt, training: Training):
        self._prompt = prompt
        model = json.loads(prompt.tokenizer.backend_tokenizer.to_str())["model"]
        vocabulary = model["vocab"]
        self._parts = {
            vocabulary[left + right]: (vocabulary[left], vocabulary[right])
            for left, right in model["merges"]
            if len(left + right) > SHORTEST_SPLIT
        }
        self._split = training.split_pieces
        self._leave_out = training.leave_out
        self._typos = training.typos
        self._cut = training.cut

    def __call__(self, example: Example, rng: random.Random) -> Example:
        start, stop = example.item.start, example.item.stop
        written = example.ids[start:stop]
        if self._typos and rng.random() < self._typos:
            written = self._mistyped(written, rng)
        if self._cut and rng.random() < self._cut:
            written = written[: max(1, round(rng.uniform(*LEFT) * len(written)))]
        kept = [token for token in written if rng.random() >= self._leave_out]
        item = [piece for token in kept for piece in self._pieces(token, rng)] or written
        ids = example.ids[:start] + item + example.ids[stop:]
        return replace(example, ids=ids, item=slice(start, start + len(item)))

    def _pieces(self, token: int, rng: random.Random) -> list[int]:
        parts = self._parts.get(token)
        if parts is None or rng.random() >= self._split:
            return [token]
        return [piece for part in parts for piece in self._pieces(part, rng)]

    def _mistyped(self, ids: list[int], rng: random.Random) -> list[int]:
        text = mistyped(self._prompt.tokenizer.decode(ids), rng)
        return self._prompt.encode_data(text) or ids


def mistyped(text: str, rng: random.Random) -> str:
    """Characters lost, doubled, exchanged with the next, or in place of another; the spaces stay."""
    characters, marks = list(text), [c for c in text if not c.isspace()]
    for place in range(len(characters) - 1):
        one, following = characters[place : place + 2]
        if rng.random() < MISTYPED and not one.isspace() and not following.isspace():
            wrong = rng.choice(marks)
            ways = [("", following), (one * 2, following), (following, one), (wrong, following)]
            characters[place : place + 2] = rng.choice(ways)
    return "".join(characters)
