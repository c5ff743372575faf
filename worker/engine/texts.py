"""Text from the model that also scores labels: prompts in, rows out."""

from collections.abc import Sequence
from typing import Any

from shared.errors import ItemError, PromptTooLong
from shared.job import Generation
from worker.engine.chat import encode_chat, encode_text
from worker.engine.generator import Generator
from worker.engine.protocol import Row as AnyRow
from worker.engine.row import Row, Writer


class ModelTexts:
    """See protocol.Texts.

    Args:
        prompt_tokens: most tokens of a prompt.
        step_tokens: most tokens of one forward.
    """

    def __init__(self, model: Any, tokenizer: Any, prompt_tokens: int, step_tokens: int):
        self._tokenizer = tokenizer
        self._prompt_tokens = prompt_tokens
        self._context = model.config.max_position_embeddings
        self._writer = Writer(tokenizer, _ends(model, tokenizer))
        self.generator = Generator(model, step_tokens)

    def start(self, asked: Sequence[tuple[str, Generation]]) -> list[Row | ItemError]:
        answers: list[Row | ItemError] = []
        for text, how in asked:
            try:
                answers.append(Row(self._encode(text, how), how, self._writer))
            except ItemError as error:
                answers.append(error)
        rows = [row for row in answers if isinstance(row, Row)]
        if rows:
            self.generator.start(rows)
        return answers

    def step(self) -> None:
        self.generator.step()

    def drop(self, row: AnyRow) -> None:
        assert isinstance(row, Row)
        self.generator.drop(row)

    def _encode(self, text: str, how: Generation) -> list[int]:
        ids = encode_chat(self._tokenizer, text) if how.chat else encode_text(self._tokenizer, text)
        most = min(self._prompt_tokens, self._context - how.max_tokens)
        if len(ids) > most:
            raise PromptTooLong(
                f"the prompt has {len(ids)} tokens; with max_tokens={how.max_tokens} at most "
                f"{max(most, 0)} are read: send less"
            )
        return ids or [self._tokenizer.eos_token_id]


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's, and those that the model's own settings name."""
    named = getattr(model.generation_config, "eos_token_id", None)
    more = named if isinstance(named, list) else [named]
    return frozenset(token for token in (tokenizer.eos_token_id, *more) if token is not None)
