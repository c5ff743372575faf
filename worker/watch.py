"""What runs now and since when: written by the main thread, read by the side thread."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from worker.jobs import Taken


@dataclass(frozen=True)
class Step:
    """One call of the engine."""

    texts: Sequence[Taken]
    began: float

    @property
    def lasted(self) -> float:
        """Seconds until now."""
        return monotonic() - self.began


class Watch:
    """The engine step under way, if any. Assignments are atomic, so no lock is needed."""

    def __init__(self) -> None:
        self.step: Step | None = None

    @contextmanager
    def over(self, texts: Sequence[Taken]) -> Iterator[None]:
        self.step = Step(texts, monotonic())
        try:
            yield
        finally:
            self.step = None
