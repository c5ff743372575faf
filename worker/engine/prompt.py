"""The prompt, built in one place for training, evaluation and serving.

A prompt is three token sequences encoded apart, so that the text of the news can never change
the tokens around it:  head (shared by all items) | item | tail (end of turn … answer prefix).
"""

import re
import tomllib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import ArtifactError, EmptyItem
from worker.engine.question_template import QuestionTemplate

SLOT = "\ue000ITEM\ue001"  # private-use characters: in no chat template, and removed from items
LABEL = "{label}"
VERDICT = "{verdict}"
LABELS = "{labels}"
ITEM = "{item}"


_PLACE = re.compile(r"\{[a-z_]+\}")


class PromptTemplate(BaseModel):
    """The file prompt.toml.

    The answer has `{label}`; or `{label}` and `{verdict}`, where any number of labels may apply; or the
    names of the taxonomy's slots. `{labels}` in `system` or `user` is the list of label names. With
    `zero_shot` a request may bring labels of its own, or ask questions, which are put as `questions` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = ""
    user: str = ITEM
    answer: str = LABEL
    strip_prefixes: tuple[str, ...] = ()
    item_tokens: Annotated[int, Field(ge=8, le=32768)] = 512
    zero_shot: bool = False
    label_separator: str = "、"
    verdicts: tuple[str, str] = ("是", "否")
    questions: QuestionTemplate | None = None

    @model_validator(mode="after")
    def _asked_only_if_it_can(self) -> "PromptTemplate":
        if self.questions and not self.zero_shot:
            raise ValueError("[questions] needs zero_shot = true: else a model answers by its labels only")
        return self

    @field_validator("user")
    @classmethod
    def _one_item(cls, value: str) -> str:
        if value.count(ITEM) != 1:
            raise ValueError(f"must contain {ITEM} exactly once")
        return value

    @field_validator("answer")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        places = _PLACE.findall(value)
        if len(set(places)) < len(places) or not places:
            raise ValueError(f"must contain {LABEL}, or the names of slots, exactly once")
        if LABEL in places and places not in ([LABEL], [LABEL, VERDICT]):
            raise ValueError(f"must contain {LABEL} exactly once, alone or with {VERDICT} behind it")
        return value

    @property
    def slots(self) -> tuple[str, ...]:
        """Names of the slots of the answer; none where it has a label."""
        return () if LABEL in self.answer else tuple(place[1:-1] for place in _PLACE.findall(self.answer))

    @property
    def multi(self) -> bool:
        """Any number of labels may apply."""
        return VERDICT in self.answer

    def fill(self, **values: str) -> str:
        """What the model says between the fixed text at both ends of the answer."""
        before, after = self.ends
        inner = self.answer[len(before) : len(self.answer) - len(after)]
        return _PLACE.sub(lambda place: values[place[0][1:-1]], inner)

    @property
    def ends(self) -> tuple[str, str]:
        """The fixed text before and after what is to be answered."""
        before, *_, after = _PLACE.split(self.answer)
        return before, after


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
        """The tokens that answer with `label`: label, rest of the answer, end of turn.

        The end of turn makes the set of sequences prefix-free, so their probabilities sum to ≤ 1.

        Raises:
            ArtifactError: the tokenizer merges the label with the answer prefix.
        """
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


def load_template(path: Path) -> PromptTemplate:
    """Read prompt.toml.

    Raises:
        ArtifactError: the file is missing, is not TOML or breaks a rule above.
    """
    try:
        return PromptTemplate.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing: it holds the prompt of the model") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(f"{path} is not a valid prompt template: {error}") from None
