"""Writes text for several rows at once: one forward gives each of them its next token.

The rows' keys and values stand in one cache, aligned at their right end: what a shorter row lacks at
the left is masked. Rows come and go between steps. A row that is not stepped for a while, because
labels are scored, loses nothing: its keys and values stay.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache

from shared.errors import EngineFailure
from worker.engine.memory import ran_out, release
from worker.engine.row import Row


class Generator:
    """
    Args:
        step_tokens: most tokens of one forward: longer prompts are read one after the other.
    """

    def __init__(self, model: Any, step_tokens: int):
        self._model = model
        self._step_tokens = step_tokens
        self.rows: list[Row] = []
        self._clear()

    def start(self, rows: Sequence[Row]) -> None:
        """Read the prompts; each row gets its first token, or its error."""
        longest = max(len(row.prompt) for row in rows)
        if len(rows) > 1 and len(rows) * longest > self._step_tokens:
            for row in rows:
                self.start([row])
            return
        logits = self._try(lambda: self._prefill(rows))
        if logits is not None:
            self._write(rows, logits)
        elif len(rows) > 1:
            for row in rows:
                self.start([row])
        elif self.rows:
            rows[0].evicted = True
        else:
            rows[0].error = _too_large(rows[0])

    def step(self) -> None:
        """One more token for every row under way. For want of memory the youngest rows leave."""
        while self.rows:
            logits = self._try(self._decode)
            if logits is not None:
                return self._write(self.rows, logits)
            youngest = self.rows[-1]
            if len(self.rows) == 1:
                youngest.error = _too_large(youngest)
            else:
                youngest.evicted = True
            self._leave()
        return None

    def drop(self, row: Row) -> None:
        """Nobody wants it any more."""
        if row in self.rows:
            row.evicted = True
            self._leave()

    def _clear(self) -> None:
        self.rows = []
        self._cache: Any = None
        self._mask = torch.empty(0, 0, dtype=torch.long, device=self._model.device)

    def _try(self, forward: Callable[[], torch.Tensor]) -> torch.Tensor | None:
        """The logits of a forward; None when memory ran out: the rows are then as they were before."""
        try:
            return forward()
        except Exception as error:
            if not ran_out(error):
                self._clear()  # nobody knows what the cache holds now
                raise
        self._crop()
        release()  # here, and not in the except block, whose exception holds the tensors
        return None

    @torch.inference_mode()
    def _prefill(self, rows: Sequence[Row]) -> torch.Tensor:
        longest = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros(len(rows), longest, dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, longest - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[place, longest - len(row.prompt) :] = 1
        mask = mask.to(self._model.device)
        cache = DynamicCache(config=self._model.config)
        logits = self._forward(ids, mask, (mask.cumsum(1) - 1).clamp_min(0), cache)
        self._join(rows, mask, cache)
        return logits

    @torch.inference_mode()
    def _decode(self) -> torch.Tensor:
        mask = pad(self._mask, (0, 1), value=1)
        ids = torch.tensor([[row.last_token] for row in self.rows])
        logits = self._forward(ids, mask, self._mask.sum(1, keepdim=True), self._cache)
        self._mask = mask
        return logits

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> Any:
        """Logits after the last token of each row: [rows, vocabulary]."""
        return self._model(
            input_ids=ids.to(self._model.device),
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]

    def _write(self, rows: Sequence[Row], logits: torch.Tensor) -> None:
        """Each row takes its token. Once one has, the step cannot be made again: a failure ends all rows."""
        try:
            for row, mine, sane in zip(rows, logits, logits.isfinite().all(1).tolist(), strict=True):
                if sane:
                    row.write(mine)
                else:
                    row.error = EngineFailure("the model's scores for this text are not numbers")
        except Exception:
            self._clear()
            raise
        self._leave()

    def _join(self, rows: Sequence[Row], mask: torch.Tensor, cache: Any) -> None:
        """Put new rows below those under way, aligned at the right."""
        if not self.rows:
            self.rows, self._mask, self._cache = list(rows), mask, cache
            return
        width = max(self._mask.shape[1], mask.shape[1])
        above, below = width - self._mask.shape[1], width - mask.shape[1]
        for old, new in zip(self._cache.layers, cache.layers, strict=True):
            keys = torch.cat([pad(old.keys, (0, 0, above, 0)), pad(new.keys, (0, 0, below, 0))])
            values = torch.cat([pad(old.values, (0, 0, above, 0)), pad(new.values, (0, 0, below, 0))])
            old.keys, old.values = keys, values
        self._mask = torch.cat([pad(self._mask, (above, 0)), pad(mask, (below, 0))])
        self.rows = [*self.rows, *rows]

    def _leave(self) -> None:
        """Rows that have ended give their memory back."""
        staying = [place for place, row in enumerate(self.rows) if not row.ended]
        if len(staying) == len(self.rows):
            return
        if not staying:
            self._clear()
            return
        places = torch.tensor(staying, device=self._mask.device)
        self.rows = [self.rows[place] for place in staying]
        mask = self._mask[places]
        unused = int((mask.sum(0) == 0).long().cumprod(0).sum())  # columns at the left that no row needs
        self._mask = mask[:, unused:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[places, :, unused:].contiguous()
            layer.values = layer.values[places, :, unused:].contiguous()

    def _crop(self) -> None:
        """Memory that ran out midway has left some layers with the step's tokens, or with its new rows."""
        count, width = len(self.rows), self._mask.shape[1]
        for layer in self._cache.layers if self.rows else ():
            kept = slice(-width, None) if len(layer.keys) > count else slice(0, width)
            layer.keys, layer.values = layer.keys[:count, :, kept], layer.values[:count, :, kept]


def _too_large(row: Row) -> EngineFailure:
    size = len(row.prompt) + len(row.written)
    return EngineFailure(f"the text takes {size} tokens, for which the memory of the device is too small")
