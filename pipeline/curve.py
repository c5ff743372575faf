"""The losses of a training phase so far: kept in its checkpoint, drawn beside it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.pictures import lines


@dataclass
class Curve:
    """Steps with the loss of their batch, and with that of the calibration rows, in nats."""

    training: list[tuple[int, float]] = field(default_factory=list)
    calibration: list[tuple[int, float]] = field(default_factory=list)

    def without_gain(self) -> int:
        """Looks at the calibration rows since the best one; as good as the best is a gain."""
        losses = [loss for _, loss in reversed(self.calibration)]
        return losses.index(min(losses)) if losses else 0

    def draw(self, name: str, path: Path) -> None:
        """An SVG file."""
        series = {"batch": self.training, "calibration rows": self.calibration}
        known = {label: points for label, points in series.items() if points}
        path.write_text(lines(f"Loss, {name}", known, "step", "loss in nats"), encoding="utf-8")

    def saved(self) -> dict[str, list[tuple[int, float]]]:
        return asdict(self)
