"""The training loop: language-model phase, then label phase; resumable, with averaged weights."""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from pipeline.batches import IGNORED, Batch, Example, collate, cut
from pipeline.recipe import Training, progress

WARM_UP = 100  # steps
REPORT = 50  # steps


@dataclass(frozen=True)
class Phase:
    """`batches` in order, the peak learning rate, and how much text and label losses weigh."""

    name: str
    batches: list[list[int]]
    rate: float
    text_weight: float
    label_weight: float


def phases(examples: Sequence[Example], order: Sequence[int], recipe: Training) -> list[Phase]:
    """A language-model phase over all tokens, then a label phase."""
    every = range(len(examples))
    text = _epochs(recipe.lm_epochs, lambda n: cut(examples, every, recipe.batch_tokens, recipe.seed + n))
    label = _epochs(
        recipe.label_epochs, lambda n: cut(examples, order, recipe.batch_tokens, recipe.seed + 100 + n)
    )
    return [
        Phase("language model", text, recipe.lm_rate, 1.0, 0.0),
        Phase("labels", label, recipe.label_rate, recipe.lm_weight, 1.0),
    ]


def train(
    model: Any, examples: Sequence[Example], plan: Sequence[Phase], recipe: Training, work: Path
) -> Any:
    """Run the plan; returns the model with averaged weights (Polyak, in the label phase).

    A checkpoint is kept in `work`; a run that was killed goes on from it with the same batches.
    """
    state = _State.start(model, recipe, work / "checkpoint.pt")
    steps = [(phase, number) for phase in plan for number in range(len(phase.batches))]
    began, saved, first = time.monotonic(), time.monotonic(), state.step
    for step in range(first, len(steps)):
        phase, number = steps[step]
        loss = _step(state, collate([examples[i] for i in phase.batches[number]]), phase, number, recipe)
        if step % REPORT == 0:
            spent = time.monotonic() - began
            left = spent / (step - first + 1) * (len(steps) - step)
            progress(f"{phase.name} {number}/{len(phase.batches)}: loss {loss:.3f}, {left / 60:.1f} min left")
        if time.monotonic() - saved > recipe.checkpoint_seconds:
            state.save(step + 1)
            saved = time.monotonic()
    state.save(len(steps))
    model.load_state_dict(state.average.state_dict())
    return model.eval()


def weighted_loss(model: Any, batch: Batch, phase: Phase, dropout: float) -> torch.Tensor:
    """Mean cross-entropy of the item's tokens and of the answer's tokens, in nats, as the phase weighs them.

    The output layer runs only on positions that have a target in this phase.
    """
    embedded = functional.dropout(model.get_input_embeddings()(batch.ids), dropout, model.training)
    hidden = model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
    targets = ((phase.text_weight, batch.text), (phase.label_weight, batch.label))
    parts = [weight * _cross_entropy(model, hidden, target) for weight, target in targets if weight]
    return torch.stack(parts).sum()


def _cross_entropy(model: Any, hidden: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    chosen = target != IGNORED
    return functional.cross_entropy(model.lm_head(hidden[chosen]).float(), target[chosen])


def _step(state: "_State", batch: Batch, phase: Phase, number: int, recipe: Training) -> float:
    for group in state.optimizer.param_groups:
        group["lr"] = phase.rate * _schedule(number, len(phase.batches))
    state.model.train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted_loss(state.model, batch, phase, recipe.dropout)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    keep = min(recipe.averaging, number / (number + 10)) if phase.label_weight else 0.0
    with torch.no_grad():
        for average, current in zip(state.average.parameters(), state.model.parameters(), strict=True):
            average.lerp_(current, 1 - keep)
    return float(loss.detach())


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017)."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _epochs(epochs: float, make: Callable[[int], list[list[int]]]) -> list[list[int]]:
    batches = [batch for n in range(math.ceil(epochs)) for batch in make(n)]
    return batches[: round(len(batches) * epochs / math.ceil(epochs))] if epochs else []


class _State:
    """What a checkpoint holds: weights, their average, optimizer, step and random state."""

    def __init__(self, model: Any, recipe: Training, path: Path):
        torch.manual_seed(recipe.seed)
        self.path = path
        self.model = model
        self.average = deepcopy(model).requires_grad_(False)
        self.step = 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )

    @classmethod
    def start(cls, model: Any, recipe: Training, path: Path) -> "_State":
        state = cls(model, recipe, path)
        if path.is_file():
            saved = torch.load(path, weights_only=True)
            state.step = saved["step"]
            state.model.load_state_dict(saved["model"])
            state.average.load_state_dict(saved["average"])
            state.optimizer.load_state_dict(saved["optimizer"])
            torch.set_rng_state(saved["random"])
            progress(f"going on from step {state.step}")
        return state

    def save(self, step: int) -> None:
        saved = {
            "step": step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        unfinished = self.path.with_suffix(".tmp")
        torch.save(saved, unfinished)
        unfinished.replace(self.path)
