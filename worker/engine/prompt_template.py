"""The file prompt.toml: what stands around an item, and what is answered."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.errors import ArtifactError
from shared.toml_file import read_toml
from worker.engine.question_template import QuestionTemplate

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
    Without `score_end` a label's probability is that of an answer that begins with it: less to compute, for
    a model that was trained to say its labels and nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = ""
    user: str = ITEM
    answer: str = LABEL
    strip_prefixes: tuple[str, ...] = ()
    item_tokens: Annotated[int, Field(ge=8, le=32768)] = 512
    zero_shot: bool = False
    score_end: bool = True
    label_separator: str = "、"
    verdicts: tuple[str, str] = ("是", "否")
    questions: QuestionTemplate | None = None

    @model_validator(mode="after")
    def _asked_only_if_it_can(self) -> "PromptTemplate":
        if self.questions and not self.zero_shot:
            raise ValueError("[questions] needs zero_shot = true: else a model answers by its labels only")
        return self

    @model_validator(mode="after")
    def _told_apart(self) -> "PromptTemplate":
        if self.zero_shot and not self.score_end:
            raise ValueError("zero_shot needs score_end = true: a request's labels may begin one another")
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


def load_template(path: Path) -> PromptTemplate:
    """Read prompt.toml.

    Raises:
        ArtifactError: the file is missing, is not TOML or breaks a rule above.
    """
    return read_toml(
        PromptTemplate, path, "prompt template", ArtifactError, ": it holds the prompt of the model"
    )
