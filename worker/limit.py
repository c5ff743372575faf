"""The time limit of an engine step. A solo pool ignores Celery's: the main thread is in the engine."""

import logging
import os
from time import monotonic

from redis import RedisError

from shared.job import PartResult
from worker.jobs import Jobs, Outcome
from worker.watch import Step, Watch

log = logging.getLogger(__name__)
EXIT_STATUS = 75  # a supervisor starts the worker again


class Limit:
    """Ends a worker whose engine step takes too long: a hanging step cannot be interrupted otherwise.

    A text that ran alone fails; several go back to the queue and run one by one, which shows whose
    fault it was.
    """

    def __init__(self, watch: Watch, jobs: Jobs, seconds: float):
        self._watch = watch
        self._jobs = jobs
        self._seconds = seconds

    def enforce(self) -> None:
        step = self._watch.step
        if step is None or step.lasted <= self._seconds:
            return
        log.critical(
            "a step of %d texts runs for more than %g s: leaving at once", len(step.texts), self._seconds
        )
        try:
            if len(step.texts) == 1:
                self._fail(step)
        except RedisError as error:
            log.error("not stored that it failed: %s", type(error).__name__)
        os._exit(EXIT_STATUS)

    def _fail(self, step: Step) -> None:
        message = f"the engine did not finish this text within {self._seconds:g} s"
        result = PartResult(error_code="time_limit", error_message=message)
        lasted_ms = (monotonic() - step.began) * 1000
        self._jobs.finish([Outcome(step.texts[0], result)], inference_ms=lasted_ms)
