"""The task: begin the text, wait for the batch's engine step, store the outcome."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

from shared.errors import EngineFailure, ItemError
from shared.job import PartResult
from worker.engine.protocol import Classification, Engine
from worker.jobs import Jobs, Step, Taken

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 3  # measured: with 2, two innocent jobs of 11,000 were refused under faults

Outcome = tuple[PartResult, Step]


class Classifier:
    """Carries texts from the queue through the engine to their stored outcome."""

    def __init__(self, engine: Engine, jobs: Jobs, node: str):
        self._engine = engine
        self._jobs = jobs
        self._node = node

    def handle(self, part: str, join: Callable[[Taken], Outcome]) -> None:
        """The life of one text in the worker. `join` waits for the engine step of its batch.

        Raises:
            ItemError: the text failed and that is stored; Celery reports the failure too.
        """
        taken = self._jobs.begin(part, self._node)
        if taken is None:
            return
        if taken.attempt > MAX_ATTEMPTS:
            outcome = _worker_lost(taken)
        elif taken.attempt > 1:  # it may have killed a worker: run it where it can harm no neighbour
            outcome = self.run([taken])[0]
        else:
            outcome = join(taken)
        self._finish(taken, outcome)

    def run(self, batch: Sequence[Taken]) -> list[Outcome]:
        """One engine step for all; if the step itself fails, each text is tried alone."""
        began = perf_counter()
        results = self._classify([taken.text for taken in batch])
        step = Step(inference_ms=(perf_counter() - began) * 1000, texts=len(batch), first=False)
        return [(result, replace(step, first=index == 0)) for index, result in enumerate(results)]

    def _classify(self, texts: list[str]) -> list[PartResult]:
        try:
            return [_as_result(answer) for answer in self._engine.classify(texts)]
        except Exception as error:  # noqa: BLE001 - whatever the model stack raises ends one job, not the worker
            log.error("engine step of %d texts failed: %s", len(texts), type(error).__name__)
            if len(texts) == 1:
                return [_as_result(EngineFailure(f"the engine failed on this text ({type(error).__name__})"))]
            return [result for text in texts for result in self._classify([text])]

    def _finish(self, taken: Taken, outcome: Outcome) -> None:
        result, step = outcome
        if not self._jobs.finish(taken, result, step):
            log.warning("outcome of %s dropped: it was given to another worker meanwhile", taken.part)
        if result.failed:
            raise ItemError(result.error_code)


def _worker_lost(taken: Taken) -> Outcome:
    message = f"the worker was lost {taken.attempt - 1} times while it ran this text"
    return PartResult(error_code="worker_lost", error_message=message), Step(0.0, texts=1, first=True)


def _as_result(answer: Classification | ItemError) -> PartResult:
    if isinstance(answer, ItemError):
        return PartResult(error_code=answer.code, error_message=str(answer))
    return PartResult(
        label=answer.label,
        answer=answer.answer,
        probabilities=answer.probabilities,
        label_mass=answer.label_mass,
        truncated=answer.truncated,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
    )
