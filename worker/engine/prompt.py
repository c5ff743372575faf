"""The prompt, built in one place for training, evaluation and serving.

A prompt is three token sequences encoded apart, so that the text of the news can never change
the tokens around it:  head (shared by all items) | item | tail (end of turn … answer prefix).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from shared.errors import ArtifactError, EmptyItem
from worker.engine.prompt_template import ITEM, LABELS, PromptTemplate

SLOT = "\ue000ITEM\ue001"  # private-use characters: in no chat template, and removed from items


@dataclass(frozen=True)
class Item:
    """One text, encoded. `token_count` is its length before truncation."""

    ids: list[int]
    token_count: int

    @property
    def truncated(self) -> bool:
        return len(self.ids) < self.token_count


class Prompt:
    """A template bound to a tokenizer and to the labels that it lists.

    Attributes:
        head, tail: token ids before and after the item.
        after: the text between the item and the answer.
        end: the end-of-turn token, which closes every answer.

    Raises:
        ArtifactError: the chat template cannot hold the prompt.
    """

    def __init__(
        self,
        template: PromptTemplate,
        tokenizer: Any,
        item_tokens: int | None = None,
        names: Sequence[str] = (),
    ):
        self.template = template
        self._listed = template.label_separator.join(names)
        self.tokenizer = tokenizer
        self.item_tokens = min(template.item_tokens, item_tokens or template.item_tokens)
        self.answer_prefix, self.answer_suffix = template.ends
        before, self.after = self._around_the_item()
        self.head = self.encode(before)
        self.tail = self.encode(self.after + self.answer_prefix)
        if self.tail != self.encode(self.after) + self.encode(self.answer_prefix):
            raise ArtifactError(f"the answer prefix {self.answer_prefix!r} merges with the tokens before it")
        self.end = self._end_of_turn()

    def item(self, text: str) -> Item:
        """Encode a text as plain data: no control token can come out of it.

        Too long an item keeps its start and its end (three to one), where news says what it is about.

        Raises:
            EmptyItem: nothing is left after cleaning and stripping known instructions.
        """
        clean = self.clean(text)
        if not clean:
            raise EmptyItem("the text is empty once its instruction is removed; send the news itself")
        ids = self.encode_data(clean)
        if len(ids) <= self.item_tokens:
            return Item(ids, len(ids))
        start = self.item_tokens * 3 // 4
        return Item(ids[:start] + ids[start - self.item_tokens :], len(ids))

    def clean(self, text: str) -> str:
        """As `tidy`, and without instructions."""
        text = tidy(text)
        for prefix in self.template.strip_prefixes:
            text = text.removeprefix(prefix).lstrip()
        return text

    def label_sequence(self, label: str) -> list[int]:
        """The tokens whose probability is the label's: label, rest of the answer and, unless the template
        leaves it out, end of turn.

        The end of turn makes any set of sequences prefix-free, so their probabilities sum to ≤ 1.

        Raises:
            ArtifactError: the tokenizer merges the label with the answer prefix.
        """
        whole = self.whole_answer(label)
        return whole if self.template.score_end else whole[:-1]

    def whole_answer(self, label: str) -> list[int]:
        """What the model says behind the answer prefix, the end of turn included; raises as above."""
        prefix = self.encode(self.answer_prefix)
        whole = self.encode(self.answer_prefix + label + self.answer_suffix)
        if whole[: len(prefix)] != prefix or len(whole) == len(prefix):
            raise ArtifactError(
                f"label {label!r} merges with the answer prefix {self.answer_prefix!r}; "
                "end the prefix with punctuation or a space"
            )
        return [*whole[len(prefix) :], self.end]

    def answer(self, label: str) -> str:
        return f"{self.answer_prefix}{label}{self.answer_suffix}"

    def encode(self, text: str, **options: Any) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False, **options)["input_ids"] if text else []

    def encode_data(self, text: str) -> list[int]:
        """Text of a client: its control tokens are plain characters."""
        return self.encode(text, split_special_tokens=True)

    def _around_the_item(self) -> tuple[str, str]:
        before, slot, after = self._render().partition(SLOT)
        if not slot or SLOT in after:
            raise ArtifactError("the chat template must repeat the user's message exactly once, unchanged")
        return before, after

    def _render(self, *more: dict[str, str]) -> str:
        listing = self.template.system.replace(LABELS, self._listed)
        system = [{"role": "system", "content": listing}] if listing else []
        asking = self.template.user.replace(ITEM, SLOT).replace(LABELS, self._listed)
        user = {"role": "user", "content": asking}
        try:
            return self.tokenizer.apply_chat_template(
                [*system, user, *more], tokenize=False, add_generation_prompt=not more, enable_thinking=False
            )
        except TemplateError as error:
            raise ArtifactError(f"the chat template cannot render the prompt: {error}") from None

    def _end_of_turn(self) -> int:
        answered = self._render({"role": "assistant", "content": self.template.answer})
        closing = answered.rsplit(self.template.answer, 1)[-1]
        end = self.encode(closing)[:1]
        if end != [self.tokenizer.eos_token_id]:
            raise ArtifactError(
                f"the chat template closes an answer with {closing!r}, "
                f"but the tokenizer's end-of-sequence token is {self.tokenizer.eos_token!r}"
            )
        return end[0]


_DROPPED = {"Cc", "Cs", "Co"}


def tidy(text: str) -> str:
    """Unicode NFC without control or private-use characters or surrogates, and without space around it."""
    text = unicodedata.normalize("NFC", text)
    kept = (c if c in "\n\t" or unicodedata.category(c) not in _DROPPED else " " for c in text)
    return "".join(kept).strip()
