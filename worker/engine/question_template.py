"""The table [questions] of prompt.toml: how typed questions about a text are put to a model."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.questions import Question

ITEM, QUESTION, OPTIONS, OPTION, NUMBER, ANSWER = (
    "{item}",
    "{question}",
    "{options}",
    "{option}",
    "{number}",
    "{answer}",
)
_PLACE = re.compile(r"\{[a-z]+\}")
Forms = Annotated[tuple[str, ...], Field(min_length=1)]


class QuestionTemplate(BaseModel):
    """The text comes first, so that all questions about it share its pass.

    `user` has `{item}` and behind it `{question}`, which is one of the three kinds below with what the
    client asks. `option` and `level` are the lines of `{options}`; a level is answered by its number, from
    0. `yes` and `no` list the forms in which a predicate may be answered; their probabilities add up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str = ""
    user: str = "{item}\n\n{question}"
    predicate: str = "{question}\nIs this true? Answer yes or no."
    choice: str = "{question}\n{options}\nAnswer with one of these options."
    score: str = "{question}\n{options}\nAnswer with the number of the level that fits best."
    option: str = "- {option}"
    level: str = "{number}: {option}"
    answer: str = ANSWER
    yes: Forms = ("yes",)
    no: Forms = ("no",)

    @model_validator(mode="after")
    def _has_its_places(self) -> "QuestionTemplate":
        needed = {
            "user": (ITEM, QUESTION),
            "predicate": (QUESTION,),
            "choice": (QUESTION, OPTIONS),
            "score": (QUESTION, OPTIONS),
            "option": (OPTION,),
            "level": (NUMBER, OPTION),
            "answer": (ANSWER,),
        }
        for field, places in needed.items():
            text = getattr(self, field)
            if sorted(_PLACE.findall(text)) != sorted(places):
                raise ValueError(f"questions.{field} must contain {' and '.join(places)} exactly once")
        if self.user.index(ITEM) > self.user.index(QUESTION):
            raise ValueError("questions.user must have {item} before {question}: questions share its pass")
        if set(self.yes) & set(self.no):
            raise ValueError("questions.yes and questions.no have a form in common")
        return self

    def put(self, question: Question) -> str:
        """What takes the place of `{question}`."""
        line = self.level if question.kind == "score" else self.option
        lines = [
            _fill(line, {OPTION: option.described, NUMBER: str(place)})
            for place, option in enumerate(question.options)
        ]
        kind: str = getattr(self, question.kind)
        return _fill(kind, {QUESTION: question.instructions, OPTIONS: "\n".join(lines)}).strip()

    def forms(self, question: Question) -> list[tuple[str, ...]]:
        """For each answer, in order, the ways to say it."""
        if question.kind == "predicate":
            return [self.yes, self.no]
        if question.kind == "score":
            return [(str(place),) for place in range(len(question.options))]
        return [(option.text,) for option in question.options]


def _fill(text: str, values: dict[str, str]) -> str:
    """In one pass, so that braces in what a client asks stay what they are."""
    return _PLACE.sub(lambda place: values[place[0]], text)
