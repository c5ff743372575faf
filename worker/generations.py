"""Texts that the model is writing: started, advanced a step at a time, delivered, stored at their end."""

import json
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from time import monotonic

from shared.errors import EngineFailure, ItemError
from shared.job import PartResult
from worker.engine.protocol import Engine, Row
from worker.jobs import ErrorCode, Jobs, Outcome, Taken
from worker.watch import Watch

log = logging.getLogger(__name__)
LOOK = 0.1  # seconds after which a row that has nothing to deliver asks whether it is still wanted


@dataclass
class _Writing:
    """A row, and how much of it has been delivered."""

    taken: Taken
    row: Row
    began: float
    characters: int = 0
    tokens: int = 0

    def chunk(self) -> str:
        """What was written since the last call, as JSON; '' when that is nothing, or nobody streams."""
        asked, text, logprobs = self.taken.generation, self.row.text, self.row.logprobs
        if not (asked and asked.stream) or (len(text), len(logprobs)) == (self.characters, self.tokens):
            return ""
        new = {
            "at": self.characters,
            "text": text[self.characters :],
            "token": self.tokens,
            "logprobs": [asdict(token) for token in logprobs[self.tokens :]],
        }
        self.characters, self.tokens = len(text), len(logprobs)
        return json.dumps(new, ensure_ascii=False)


class Generations:
    """At most `size` rows at once. Outcomes are dictionaries: part -> its error's code, or None."""

    def __init__(self, engine: Engine, jobs: Jobs, watch: Watch, size: int):
        self._engine = engine
        self._jobs = jobs
        self._watch = watch
        self._size = size
        self._rows: dict[str, _Writing] = {}
        self._again: deque[Taken] = deque()  # had to leave for want of memory, or with a step that failed
        self._looked = 0.0

    @property
    def running(self) -> bool:
        return bool(self._rows or self._again)

    @property
    def room(self) -> int:
        """Rows that may be started now; none beside one that is tried again, which may harm others."""
        if self._again or any(writing.taken.attempt > 1 for writing in self._rows.values()):
            return 0
        return self._size - len(self._rows)

    def start(self, taken: Sequence[Taken]) -> dict[str, ErrorCode]:
        """Read the prompts of texts that are in hand; returns those that have ended at once."""
        began = monotonic()
        try:
            with self._watch.over([*self._in_hand(), *taken]):
                rows = self._engine.texts.start([(t.text, t.generation) for t in taken if t.generation])
        except Exception as error:  # noqa: BLE001 - whatever the model stack raises ends one job, not the worker
            return self._after(error, taken)
        failed = {}
        for one, row in zip(taken, rows, strict=True):
            if isinstance(row, ItemError):
                failed[one] = row
            else:
                self._rows[one.part] = _Writing(one, row, began)
        return self._fail(failed, began) | self._settle()

    def step(self) -> dict[str, ErrorCode]:
        """One more token for each row; returns those that have ended."""
        if not self._rows:
            return self.start([self._again.popleft()]) if self._again else {}
        try:
            with self._watch.over(self._in_hand()):
                self._engine.texts.step()
        except Exception as error:  # noqa: BLE001 - as above
            return self._after(error, ())
        return self._settle()

    def abandon(self) -> None:
        """Their messages have gone back to the queue."""
        self._drop_rows()
        self._again.clear()

    def _in_hand(self) -> list[Taken]:
        return [writing.taken for writing in self._rows.values()]

    def _after(self, error: Exception, starting: Sequence[Taken]) -> dict[str, ErrorCode]:
        """The engine raised: a text that was alone fails; several are tried again one by one."""
        texts = [*self._in_hand(), *starting]
        log.error("engine step of %d generations failed: %s", len(texts), type(error).__name__)
        self._drop_rows()
        if len(texts) > 1:
            self._again.extend(texts)
            return {}
        failure = EngineFailure(f"the engine failed on this text ({type(error).__name__})")
        return self._fail(dict.fromkeys(texts, failure), monotonic())

    def _drop_rows(self) -> None:
        for writing in self._rows.values():
            self._engine.texts.drop(writing.row)
        self._rows.clear()

    def _settle(self) -> dict[str, ErrorCode]:
        """Store what has ended, deliver what is new, and drop what nobody wants."""
        outcomes: dict[str, ErrorCode] = {}
        for writing in [writing for writing in self._rows.values() if writing.row.ended]:
            del self._rows[writing.taken.part]
            if writing.row.evicted:
                log.warning("out of memory with %d generations: one is written again", len(self._rows) + 1)
                self._again.append(writing.taken)
            else:
                result = _as_result(writing.row)
                self._store(writing.taken, result, writing.began)
                outcomes[writing.taken.part] = result.error_code
        return outcomes | self._deliver()

    def _deliver(self) -> dict[str, ErrorCode]:
        rows = list(self._rows.values())
        chunks = [writing.chunk() for writing in rows]
        if not any(chunks) and monotonic() - self._looked < LOOK:
            return {}
        self._looked = monotonic()
        wanted = self._jobs.progress([(w.taken, chunk) for w, chunk in zip(rows, chunks, strict=True)])
        unwanted = [writing for writing, goes_on in zip(rows, wanted, strict=True) if not goes_on]
        for writing in unwanted:
            self._engine.texts.drop(writing.row)
            del self._rows[writing.taken.part]
        return {writing.taken.part: None for writing in unwanted}

    def _fail(self, failed: dict[Taken, ItemError], began: float) -> dict[str, ErrorCode]:
        for taken, error in failed.items():
            self._store(taken, PartResult(error_code=error.code, error_message=str(error)), began)
        return {taken.part: error.code for taken, error in failed.items()}

    def _store(self, taken: Taken, result: PartResult, began: float) -> None:
        self._jobs.finish([Outcome(taken, result)], inference_ms=(monotonic() - began) * 1000)


def _as_result(row: Row) -> PartResult:
    if row.error:
        return PartResult(error_code=row.error.code, error_message=str(row.error))
    return PartResult(
        text=row.text,
        finish_reason=row.finish_reason,
        logprobs=list(row.logprobs) or None,
        prompt_tokens=len(row.prompt),
        completion_tokens=len(row.written),
    )
