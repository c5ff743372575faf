"""From texts in hand to stored labels: one engine step, one script."""

import logging
from collections.abc import Sequence
from time import perf_counter

from shared.errors import EngineFailure, ItemError
from shared.job import PartResult
from worker.engine.protocol import Classification, Engine
from worker.jobs import ErrorCode, Jobs, Outcome, Taken
from worker.watch import Watch

log = logging.getLogger(__name__)


class Classifier:
    """Carries texts in hand through the engine to their stored outcome."""

    def __init__(self, engine: Engine, jobs: Jobs, watch: Watch):
        self._engine = engine
        self._description = engine.describe()
        self._jobs = jobs
        self._watch = watch

    def run(self, step: Sequence[Taken]) -> dict[str, ErrorCode]:
        """Score all texts together; for each the code of its error, if it failed."""
        began = perf_counter()
        results = self._classify(step)
        outcomes = [self._outcome(taken, result) for taken, result in zip(step, results, strict=True)]
        stored = self._jobs.finish(outcomes, inference_ms=(perf_counter() - began) * 1000)
        for taken, kept in zip(step, stored, strict=True):
            if not kept:
                log.warning("outcome of %s dropped: cancelled, or given to another worker", taken.part)
        return {taken.part: result.error_code for taken, result in zip(step, results, strict=True)}

    def _classify(self, step: Sequence[Taken]) -> list[PartResult]:
        """One engine step for all; if the step itself fails, each text is tried alone."""
        try:
            with self._watch.over(step):
                answers = self._engine.classify([t.text for t in step], [t.labels for t in step])
                return [_as_result(answer) for answer in answers]
        except Exception as error:  # noqa: BLE001 - whatever the model stack raises ends one job, not the worker
            log.error("engine step of %d texts failed: %s", len(step), type(error).__name__)
            if len(step) == 1:
                return [_as_result(EngineFailure(f"the engine failed on this text ({type(error).__name__})"))]
            return [result for taken in step for result in self._classify([taken])]

    def _outcome(self, taken: Taken, result: PartResult) -> Outcome:
        reusable = taken.store and not result.failed
        return Outcome(taken, result, self._description.digest(taken.text, taken.labels) if reusable else "")


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
        labels=None if answer.labels is None else list(answer.labels),
        slots=answer.slots,
    )
