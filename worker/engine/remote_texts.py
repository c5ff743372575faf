"""Text from a remote server: one streamed request for each row, read by a thread of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Literal

from openai import APIError, OpenAI, omit

from shared.errors import EngineFailure, ItemError
from shared.job import Generation, TokenLogprob
from worker.engine.chat import encode_chat, encode_text
from worker.engine.protocol import Row

PATIENCE = 0.05  # seconds that a step waits for news: what a label waits at most


@dataclass(eq=False)
class RemoteRow:
    """See protocol.Row. Only the thread that steps the engine changes it."""

    prompt: Sequence[int]
    asked: Generation
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None
    error: ItemError | None = None
    evicted: bool = False
    tokens: int = 0
    over: bool = False
    stream: Any = None

    @property
    def written(self) -> Sequence[int]:
        return range(self.tokens)

    @property
    def ended(self) -> bool:
        return self.over or self.error is not None or self.evicted

    def take(self, chunk: Any) -> None:
        """Grow by what one event of the stream says."""
        if chunk.usage:
            self.tokens = chunk.usage.completion_tokens
        for choice in chunk.choices:
            self.text += choice.text
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.logprobs:
                self.logprobs += _logprobs(choice.logprobs)


class RemoteTexts:
    """See protocol.Texts."""

    def __init__(self, client: OpenAI, model: str, tokenizer: Any):
        self._client = client
        self._model = model
        self._tokenizer = tokenizer
        self._news: SimpleQueue[tuple[RemoteRow, Any]] = SimpleQueue()

    def start(self, asked: Sequence[tuple[str, Generation]]) -> list[Row | ItemError]:
        answers: list[Row | ItemError] = []
        for text, how in asked:
            encode = encode_chat if how.chat else encode_text
            try:
                row = RemoteRow(encode(self._tokenizer, text), how)
            except ItemError as error:
                answers.append(error)
                continue
            Thread(target=self._follow, args=(row,), daemon=True).start()
            answers.append(row)
        return answers

    def step(self) -> None:
        """Take what has come since the last step; wait a moment when that is nothing."""
        try:
            self._tell(*self._news.get(timeout=PATIENCE))
            while True:
                self._tell(*self._news.get_nowait())
        except Empty:
            return

    def drop(self, row: Row) -> None:
        assert isinstance(row, RemoteRow)
        row.evicted = True
        if row.stream is not None:
            row.stream.close()

    def _tell(self, row: RemoteRow, news: Any) -> None:
        if isinstance(news, ItemError):
            row.error = news
        elif news is None:
            row.over = True
            row.finish_reason = row.finish_reason or "stop"
        else:
            row.take(news)

    def _follow(self, row: RemoteRow) -> None:
        """The thread of a row: passes on every event, then None, or why it failed."""
        try:
            row.stream = self._open(row)
            for chunk in row.stream:
                if row.evicted:
                    row.stream.close()
                    return
                self._news.put((row, chunk))
        except Exception as error:  # noqa: BLE001 - a dropped row's stream fails in many ways
            self._news.put((row, EngineFailure(f"the remote server failed on this text ({_name(error)})")))
        else:
            self._news.put((row, None))

    def _open(self, row: RemoteRow) -> Any:
        how = row.asked
        return self._client.completions.create(
            model=self._model,
            prompt=list(row.prompt),
            max_tokens=how.max_tokens,
            temperature=how.temperature,
            top_p=how.top_p,
            seed=omit if how.seed is None else how.seed,
            stop=list(how.stop) or omit,
            logprobs=omit if how.logprobs is None else how.logprobs,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"top_k": how.top_k} if how.top_k else None,
        )


def _logprobs(said: Any) -> list[TokenLogprob]:
    tops = said.top_logprobs or [{}] * len(said.tokens)
    rows = zip(said.tokens, said.token_logprobs, tops, strict=True)
    return [TokenLogprob(token, value, tuple((top or {}).items())) for token, value, top in rows]


def _name(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"HTTP {status}" if isinstance(error, APIError) and status else type(error).__name__
