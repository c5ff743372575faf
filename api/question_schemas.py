"""The answers to typed questions, as pydantic models: the only definition of each."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas import Created, ModelId, Schema, Timing, Truncated

Name = Annotated[str | None, Field(description="What its question is called.")]
Reason = Annotated[str, Field(description="Why there is no answer.")]
Mass = Annotated[
    float,
    Field(description="The model's own probability, before normalisation, of answering with any option."),
]
Confidence = Annotated[
    float, Field(description="Of a choice its probability; of a score, how little it spreads.")
]
Expected = Annotated[float, Field(description="The expected level, from 0.")]
AnswerId = Annotated[str, Field(description="The id of this answer.")]


class Predicate(Schema):
    """How likely a statement is true."""

    type: Literal["predicate"] = Field("predicate", description="What this is.")
    name: Name
    probability: float = Field(description="Of yes.")
    label_mass: Mass


class ChoiceProbability(Schema):
    """One of the choices."""

    value: str | bool = Field(description="The choice.")
    probability: float = Field(description="Of this choice; all of them sum to 1.")


class Chosen(Schema):
    """`confidence` is the probability of what was chosen."""

    type: Literal["choice"] = Field("choice", description="What this is.")
    name: Name
    choice: str | bool = Field(description="The likeliest choice.")
    confidence: Confidence
    probabilities: list[ChoiceProbability] = Field(description="Of all choices, in their order.")
    label_mass: Mass


class LevelProbability(Schema):
    """One of the levels."""

    label: str = Field(description="Its name.")
    value: int = Field(description="Its number, from 0.")
    probability: float = Field(description="Of this level; all of them sum to 1.")


class Score(Schema):
    """`score` is the expected level, from 0; `confidence` is 1 where all probability lies on one level, 0
    where it is halved between the two ends."""

    type: Literal["score"] = Field("score", description="What this is.")
    name: Name
    score: Expected
    confidence: Confidence
    probabilities: list[LevelProbability] = Field(description="Of all levels, in their order.")
    label_mass: Mass


class Refusal(Schema):
    """A question that the model cannot answer."""

    type: Literal["refusal"] = Field("refusal", description="What this is.")
    name: Name
    reason: Reason


class TokenDetails(Schema):
    """None is counted apart."""

    cached_tokens: int = Field(0, description="Always 0.")
    cache_write_tokens: int = Field(0, description="Always 0.")


class OutputDetails(Schema):
    """None is counted apart."""

    reasoning_tokens: int = Field(0, description="Always 0.")


class DecisionUsage(Schema):
    """The text is counted once."""

    input_tokens: int = Field(description="Of the text once, and of all questions.")
    input_tokens_details: TokenDetails = Field(TokenDetails(), description="None is counted apart.")
    output_tokens: int = Field(description="Of the likeliest answers.")
    output_tokens_details: OutputDetails = Field(OutputDetails(), description="None is counted apart.")
    total_tokens: int = Field(description="Their sum.")


class Decision(Schema):
    """Answers in the order of the questions."""

    id: AnswerId
    object: Literal["decision"] = Field("decision", description="What this is.")
    created: Created
    model: ModelId
    answers: list[Predicate | Chosen | Score | Refusal] = Field(description="One for each question.")
    truncated: Truncated
    usage: DecisionUsage = Field(description="Tokens of the request.")
    timing: Timing = Field(description="How long it took.")


class Noul(Schema):
    """How likely a statement is true."""

    type: Literal["noul"] = Field("noul", description="What this is.")
    noul: float = Field(description="The probability of yes.")
    label_mass: Mass


class NamedChoice(Schema):
    """`confidence` is the probability of what was chosen."""

    type: Literal["choice"] = Field("choice", description="What this is.")
    choice: str = Field(description="The likeliest value.")
    confidence: Confidence
    probabilities: dict[str, float] = Field(description="Value -> probability; they sum to 1.")
    label_mass: Mass


class NamedScore(Schema):
    """`legend` and `probabilities` by level, from "0"."""

    type: Literal["score"] = Field("score", description="What this is.")
    score: Expected
    confidence: Confidence
    legend: dict[str, Any] = Field(description="Level -> what it is.")
    probabilities: dict[str, float] = Field(description="Level -> probability; they sum to 1.")
    label_mass: Mass


class NamedRefusal(Schema):
    """A question that the model cannot answer."""

    type: Literal["refusal"] = Field("refusal", description="What this is.")
    reason: Reason


class SystemOneUsage(Schema):
    """The state is counted once."""

    input_tokens: int = Field(description="Of the state once, and of all questions.")
    output_tokens: int = Field(description="Of the likeliest answers.")


class SystemOne(Schema):
    """Answers by the names of their questions."""

    id: AnswerId
    created: Created
    model: ModelId
    answers: dict[str, Noul | NamedChoice | NamedScore | NamedRefusal] = Field(
        description="Name of the question -> answer."
    )
    truncated: Truncated
    usage: SystemOneUsage = Field(description="Tokens of the request.")
    timing: Timing = Field(description="How long it took.")
