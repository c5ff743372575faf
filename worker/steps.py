"""What the worker does between two looks at the queue: one step for labels, one for texts under way."""

from collections import deque
from collections.abc import Sequence

from shared.job import PartResult
from worker.classify import Classifier
from worker.generations import Generations
from worker.jobs import ErrorCode, Jobs, Outcome, Taken


class Steps:
    """Carries parts from the queue to their stored outcome.

    Outcomes are dictionaries: part -> the code of its error, None when it has none. Each part that was
    begun comes out once, of `begin` itself or of a later `step`.
    """

    def __init__(
        self, jobs: Jobs, classifier: Classifier, generations: Generations, node: str, max_attempts: int
    ):
        self._jobs = jobs
        self._classifier = classifier
        self._generations = generations
        self._node = node
        self._max_attempts = max_attempts
        self._alone: deque[str] = deque()

    @property
    def room(self) -> int:
        """Texts that may be started now."""
        return 0 if self._alone else self._generations.room

    def begin(self, parts: Sequence[str]) -> dict[str, ErrorCode]:
        """Take parts in hand: labels are scored in one step, texts begin to be written.

        A part that has been tried before may have killed a worker: it runs where it can harm no other.
        """
        taken, tried_before = self._jobs.begin(parts, self._node)
        begun = {one.part for one in taken}
        self._alone.extend(tried_before)
        nothing_to_do: dict[str, ErrorCode] = {
            part: None for part in parts if part not in begun and part not in tried_before
        }
        return nothing_to_do | self._run(taken) | self._run_alone()

    def step(self) -> dict[str, ErrorCode]:
        """One more token for each text under way."""
        return self._generations.step() | self._run_alone()

    def abandon(self) -> None:
        """Forget what is in hand: it has gone back to the queue."""
        self._alone.clear()
        self._generations.abandon()

    def _run_alone(self) -> dict[str, ErrorCode]:
        outcomes: dict[str, ErrorCode] = {}
        while self._alone and not self._generations.running:
            part = self._alone.popleft()
            taken, _ = self._jobs.begin([part], self._node)
            outcomes |= self._run(taken) if taken else {part: None}
        return outcomes

    def _run(self, taken: Sequence[Taken]) -> dict[str, ErrorCode]:
        if taken and taken[0].attempt > self._max_attempts:
            return self._lost(taken[0])
        labels = [one for one in taken if one.generation is None]
        texts = [one for one in taken if one.generation]
        outcomes = self._classifier.run(labels) if labels else {}
        return outcomes | (self._generations.start(texts) if texts else {})

    def _lost(self, taken: Taken) -> dict[str, ErrorCode]:
        message = f"the worker was lost {taken.attempt - 1} times while it ran this text"
        result = PartResult(error_code="worker_lost", error_message=message)
        self._jobs.finish([Outcome(taken, result)], inference_ms=0)
        return {taken.part: result.error_code}
