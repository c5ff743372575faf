"""The worker's three moves on job records: begin a batch, finish it, put orphans back."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from shared.job import VERSION, Generation, PartResult, Request, split_part_id
from shared.questions import Question
from shared.scripts import job_script
from shared.settings import Settings

UNREADABLE = PartResult(
    error_code="unknown_job_version",
    error_message="the job was written by another version of Wiredesk; send it again",
)


ErrorCode = str | None


@dataclass(frozen=True)
class Taken:
    """One text in hand: which attempt this is, what is asked, and whether its answer may be reused."""

    part: str
    attempt: int
    text: str
    store: bool = True
    generation: Generation | None = None
    labels: tuple[str, ...] | None = None
    questions: tuple[Question, ...] | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one text; `digest` names it in the cache, empty when it is not to be kept there."""

    taken: Taken
    result: PartResult
    digest: str = ""


class Jobs:
    """Job records in Redis, as the worker changes them. Each method is one atomic script."""

    def __init__(self, redis: Redis, config: Settings):
        self._begin = job_script(redis, config, __file__, "begin.lua")
        self._finish = job_script(redis, config, __file__, "finish.lua")
        self._progress = job_script(redis, config, __file__, "progress.lua")
        self._requeue = job_script(redis, config, __file__, "requeue.lua")

    def begin(self, parts: Sequence[str], node: str) -> tuple[list[Taken], list[str]]:
        """Take texts in hand; those for which nothing is left to do are in neither list.

        Returns:
            The texts that run together, and the parts that must be begun alone, one after the other.
        """
        answers = self._begin(node, VERSION, UNREADABLE.to_json(), *parts)
        found = list(zip(parts, answers, strict=True))
        return [_taken(part, *answer) for part, answer in found if answer], [
            part for part, answer in found if answer == []
        ]

    def finish(self, outcomes: Sequence[Outcome], inference_ms: float) -> list[bool]:
        """Store what one engine step has made.

        Returns:
            For each, False when a later attempt owns the text, its outcome stands, or it was cancelled.
        """
        values: list[str | int] = []
        for outcome in outcomes:
            taken, result = outcome.taken, outcome.result
            values += [taken.part, taken.attempt, int(result.failed), result.to_json(), outcome.digest]
        return [bool(stored) for stored in self._finish(len(outcomes), f"{inference_ms:.1f}", *values)]

    def progress(self, chunks: Sequence[tuple[Taken, str]]) -> list[bool]:
        """Deliver what rows have written since the last time, as JSON ('' for nothing).

        Returns:
            For each, False when nobody wants it any more, or another worker has it.
        """
        values = [value for taken, chunk in chunks for value in (taken.part, taken.attempt, chunk)]
        return [bool(wanted) for wanted in self._progress(*values)]

    def requeue(self, orphans: set[str], live_nodes: set[str]) -> tuple[set[str], set[str]]:
        """Put orphans back and end what waited too long; returns (put back, still in no list)."""
        back, missing = self._requeue(len(live_nodes), *sorted(live_nodes), *sorted(orphans))
        return set(back), set(missing)


def _taken(part: str, attempt: int, request: str, store: str) -> Taken:
    _, index = split_part_id(part)
    asked = Request.from_json(request)
    return Taken(
        part, attempt, asked.texts[index], store == "1", asked.generation, asked.labels, asked.questions
    )
