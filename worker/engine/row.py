"""One generation under way: what it was asked, what it has written, and when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from tokenizers.decoders import DecodeStream

from shared.errors import ItemError
from shared.job import Generation, TokenLogprob
from worker.engine.sampling import choose

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Writer:
    """What all rows of a model share: its tokenizer, and the tokens that end a text."""

    tokenizer: Any
    ends: frozenset[int]

    @cached_property
    def decoder(self) -> Any:
        return self.tokenizer.backend_tokenizer

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)


class Row:
    """Text as it grows.

    Attributes:
        prompt: its tokens.
        written: new tokens, without the one that ends the text.
        text: what may be shown: whole characters only, and nothing that may be the start of a stop text.
        finish_reason: None while it is under way.
        error: why it failed, if it did.
        evicted: it had to leave for want of memory, and can be started again from the beginning.
    """

    def __init__(self, prompt: Sequence[int], asked: Generation, writer: Writer):
        self.prompt = list(prompt)
        self.asked = asked
        self.written: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.text = ""
        self.finish_reason: FinishReason | None = None
        self.error: ItemError | None = None
        self.evicted = False
        self._writer = writer
        self._raw = ""
        self._stream = DecodeStream(skip_special_tokens=True)
        self._chances = torch.Generator().manual_seed((asked.seed or 0) % 2**63)

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None or self.error is not None or self.evicted

    @property
    def last_token(self) -> int:
        return self.written[-1]

    def write(self, logits: torch.Tensor) -> None:
        """Take the next token from its logits [vocabulary]."""
        logits = logits.float()
        token = choose(logits, self.asked, float(torch.rand(1, generator=self._chances)))
        if token in self._writer.ends:
            return self._finish("stop")
        if self.asked.logprobs is not None:
            self.logprobs.append(self._logprob(token, logits, self.asked.logprobs))
        self.written.append(token)
        self._raw += self._stream.step(self._writer.decoder, token) or ""
        if not self._stopped() and len(self.written) >= self.asked.max_tokens:
            self._finish("length")
        return None

    def _finish(self, reason: FinishReason) -> None:
        """What was held back is shown: an unfinished character as U+FFFD."""
        whole = self._writer.decode(self.written)
        if whole.startswith(self._raw):
            self._raw = whole
        if not self._stopped():
            self.text, self.finish_reason = self._raw, reason

    def _stopped(self) -> bool:
        """Shows what is safe to show; whether a stop text has come."""
        found = [place for stop in self.asked.stop if (place := self._raw.find(stop, len(self.text))) >= 0]
        if found:
            self.text, self.finish_reason = self._raw[: min(found)], "stop"
            return True
        self.text = self._raw[: len(self._raw) - self._held_back()]
        return False

    def _held_back(self) -> int:
        """Characters at the end that may be the start of a stop text."""
        return max((_overlap(self._raw, stop) for stop in self.asked.stop), default=0)

    def _logprob(self, token: int, logits: torch.Tensor, alternatives: int) -> TokenLogprob:
        log_p = logits.log_softmax(0)
        values, places = log_p.topk(alternatives)
        likeliest = zip(places.tolist(), values.tolist(), strict=True)
        top = tuple((self._writer.decode([place]), round(value, 6)) for place, value in likeliest)
        return TokenLogprob(self._writer.decode([token]), round(float(log_p[token]), 6), top)


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`, without being the whole of it."""
    lengths = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((length for length in lengths if text.endswith(stop[:length])), 0)
