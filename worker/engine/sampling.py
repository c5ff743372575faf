"""How the next token is chosen from logits."""

import torch

from shared.job import Generation


def choose(logits: torch.Tensor, asked: Generation, chance: float) -> int:
    """The next token of one row.

    Every step of a row takes one number from its own generator, so that a seed gives the same draws
    alone and in a batch.

    Args:
        logits: [vocabulary] float32.
        chance: uniform in [0, 1), used where something is drawn.
    """
    if asked.temperature == 0:
        return int(logits.argmax())
    scaled = logits / asked.temperature
    if asked.top_k:
        ordered, tokens = scaled.topk(min(asked.top_k, len(scaled)))
    else:
        ordered, tokens = scaled.sort(descending=True, stable=True)
    chances = ordered.softmax(0)
    before = chances.cumsum(0) - chances  # of all likelier tokens; the first has none
    chances = chances.masked_fill((before >= asked.top_p) & (before > 0), 0)
    running = chances.cumsum(0)
    place = torch.searchsorted(running, running[-1:] * chance, right=True)
    return int(tokens[place.clamp(max=int((chances > 0).sum()) - 1)])
