"""The training loop of one phase: resumable, with averaged weights, the best of which are kept."""

import math
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.batches import cut
from pipeline.curve import Curve
from pipeline.kept import keep, kept
from pipeline.recipe import Training, progress

WARM_UP = 100  # steps
REPORT = 50  # steps


@dataclass(frozen=True)
class Phase:
    """Attributes:
    rate: peak learning rate.
    loss: of the model on the batch with a number; depends on nothing else, so that a resumed run is the same.
    judge: how bad the weights are (lower is better), asked every `judge_steps`.
    """

    name: str
    steps: int
    rate: float
    loss: Callable[[Any, int], torch.Tensor]
    judge: Callable[[Any], float] | None = None


def epochs(
    count: float, lengths: Sequence[int], order: Callable[[int], Sequence[int]], recipe: Training
) -> list[list[int]]:
    """Batches of `count` passes; `order` gives the example numbers of the pass with a seed."""
    seeds = range(recipe.seed, recipe.seed + math.ceil(count))
    batches = [batch for seed in seeds for batch in cut(lengths, order(seed), recipe.batch_tokens, seed)]
    return batches[: round(len(batches) * count / max(1, math.ceil(count)))]


def train(model: Any, phase: Phase, recipe: Training, path: Path, key: str) -> None:
    """Run the phase; leaves the best averaged weights (Polyak) in `model`.

    A checkpoint is kept in `path`. A run that was killed goes on from it with the same batches; a
    checkpoint with another `key` is not used.
    """
    state = _State(model, recipe, path, key)
    began, saved, first = time.monotonic(), time.monotonic(), state.step
    for number in range(first, first if state.gave_up(recipe) else phase.steps):
        loss = _step(state, phase, number, recipe)
        last = number + 1 == phase.steps
        state.curve.training += [(number + 1, loss)] if number % REPORT == 0 or last else []
        if number % REPORT == 0 or last:
            rate = (number + 1 - first) / (time.monotonic() - began)
            progress(
                f"{phase.name} {number + 1}/{phase.steps}: loss {loss:.3f}, {rate:.1f} steps/s, "
                f"{(phase.steps - number) / rate / 60:.1f} min left"
            )
        if last or (phase.judge and (number + 1) % recipe.judge_steps == 0):
            state.judge(phase, number + 1)
        last = last or state.gave_up(recipe)
        if last or time.monotonic() - saved > recipe.checkpoint_seconds:
            state.save(number + 1)
            state.curve.draw(phase.name, path.with_suffix(".svg"))
            saved = time.monotonic()
        if last:
            break
    if state.lowest:  # 0 without calibration rows
        best = next(step for step, loss in reversed(state.curve.calibration) if loss == state.lowest)
        progress(f"{phase.name}: kept the weights of step {best}, {state.lowest:.4f} on the calibration rows")
    model.load_state_dict(state.best)
    model.eval()


def _step(state: "_State", phase: Phase, number: int, recipe: Training) -> float:
    for group in state.optimizer.param_groups:
        group["lr"] = phase.rate * group["pace"] * _schedule(number, phase.steps)
    state.model.train()
    loss = phase.loss(state.model, number)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    state.follow(min(recipe.averaging, number / (number + 10)) if phase.judge else 0.0)
    return float(loss.detach())


def _schedule(step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov & Hutter 2017)."""
    return min(1.0, (step + 1) / min(WARM_UP, steps // 5 + 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def _groups(model: Any, recipe: Training) -> list[dict[str, Any]]:
    """Embeddings apart: they may be known already, and are then to move slowly."""
    learned = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    words = [weight for name, weight in learned if "embed" in name]
    others = [weight for name, weight in learned if "embed" not in name]
    return [{"params": words, "pace": recipe.embedding_pace}, {"params": others, "pace": 1.0}]


class _State:
    """What a checkpoint holds: weights, their average, the best average, optimizer, step, random state."""

    def __init__(self, model: Any, recipe: Training, path: Path, key: str):
        torch.manual_seed(recipe.seed)
        self.model, self.path, self.key = model, path, key
        self.average = deepcopy(model).requires_grad_(False).eval()
        self.best: dict[str, torch.Tensor] = {}
        self.lowest = math.inf
        self.step = 0
        self.curve = Curve()
        self.optimizer = torch.optim.AdamW(
            _groups(model, recipe), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        if saved := kept(path, key):
            self._load(saved)
        elif path.is_file():
            progress(f"{path.name} was made from something else: starting over")

    def follow(self, keep: float) -> None:
        """Move the average towards the weights."""
        with torch.no_grad():
            for average, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
                average.lerp_(current, 1 - keep)

    def gave_up(self, recipe: Training) -> bool:
        """The calibration rows have not improved for as many looks as the recipe waits."""
        return bool(recipe.patience) and self.curve.without_gain() >= recipe.patience

    def judge(self, phase: Phase, step: int) -> None:
        """Keep the average if it is the best so far; without a judge, the latest."""
        loss = phase.judge(self.average) if phase.judge else 0.0
        if phase.judge:
            self.curve.calibration.append((step, loss))
        if loss:
            progress(f"{phase.name}: calibration rows {loss:.4f}, best so far {min(loss, self.lowest):.4f}")
        if loss <= self.lowest:  # without calibration rows all are equal, and the latest is kept
            self.lowest = loss
            self.best = deepcopy(self.average.state_dict())

    def save(self, step: int) -> None:
        saved = {
            "step": step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            "lowest": self.lowest,
            "curve": self.curve.saved(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }
        keep(self.path, self.key, saved)

    def _load(self, saved: dict[str, Any]) -> None:
        self.step, self.best, self.lowest = saved["step"], saved["best"], saved["lowest"]
        self.curve = Curve(**saved["curve"])
        self.model.load_state_dict(saved["model"])
        self.average.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])
        progress(f"{self.path.name}: going on from step {self.step}")
