"""From texts in hand to stored labels: one engine step, one script."""

import logging
from collections.abc import Sequence
from time import perf_counter

from shared.errors import EngineFailure, ItemError
from shared.job import PartResult
from worker.engine.protocol import Classification, Engine, Findings
from worker.jobs import ErrorCode, Jobs, Outcome, Taken
from worker.watch import Watch

log = logging.getLogger(__name__)

Answer = Classification | Findings | ItemError


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
                return [_as_result(answer) for answer in self._answers(step)]
        except Exception as error:  # noqa: BLE001 - whatever the model stack raises ends one job, not the worker
            log.error("engine step of %d texts failed: %s", len(step), type(error).__name__)
            if len(step) == 1:
                return [_as_result(EngineFailure(f"the engine failed on this text ({type(error).__name__})"))]
            return [result for taken in step for result in self._classify([taken])]

    def _answers(self, step: Sequence[Taken]) -> list[Answer]:
        """Labels in one forward, questions in another or several."""
        answers: dict[str, Answer] = {}
        if labelled := [taken for taken in step if not taken.questions]:
            found = self._engine.classify([t.text for t in labelled], [t.labels for t in labelled])
            answers |= zip((t.part for t in labelled), found, strict=True)
        if asked := [taken for taken in step if taken.questions]:
            decided = self._engine.decide([(t.text, t.questions or ()) for t in asked])
            answers |= zip((t.part for t in asked), decided, strict=True)
        return [answers[taken.part] for taken in step]

    def _outcome(self, taken: Taken, result: PartResult) -> Outcome:
        reusable = taken.store and not result.failed
        digest = self._description.digest(taken.text, taken.labels, taken.questions) if reusable else ""
        return Outcome(taken, result, digest)


def _as_result(answer: Answer) -> PartResult:
    if isinstance(answer, ItemError):
        return PartResult(error_code=answer.code, error_message=str(answer))
    if isinstance(answer, Findings):
        return PartResult(
            findings=list(answer.findings),
            truncated=answer.truncated,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
        )
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
