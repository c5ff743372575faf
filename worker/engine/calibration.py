"""calibration.json: what turns the log-probabilities of labels into probabilities that can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Scale:
    """Probabilities are softmax(log P / temperature + bias); sigmoid, where each label has a verdict.

    Attributes:
        bias: label -> nats; a slot's value is called `slot=value`, and the values of an answer add up.
    """

    temperature: float = 1.0
    bias: Mapping[str, float] = field(default_factory=dict)

    def without_bias(self) -> "Scale":
        """For labels that the calibration does not know."""
        return Scale(self.temperature)


class Abstention(BaseModel):
    """Answers whose probability is at least `threshold` are right as often as `reached` says.

    Measured on `items` rows that the threshold was not chosen on; `coverage` is the share of them that
    is answered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Share
    threshold: Share
    coverage: Share
    reached: Share
    items: Annotated[int, Field(ge=0)]


class Calibration(BaseModel):
    """The file, by data type (fp32, bf16, int8, nf4, remote)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal[1] = Field(1, alias="schema")
    temperature: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    bias: dict[str, dict[str, Annotated[float, Field(allow_inf_nan=False)]]] = Field(default_factory=dict)
    abstain: dict[str, tuple[Abstention, ...]] = Field(default_factory=dict)

    def for_type(self, quantization: str) -> Scale:
        """The type's own scale, else fp32's, else none (uncalibrated)."""
        known = quantization if quantization in self.temperature else "fp32"
        return Scale(self.temperature.get(known, 1.0), self.bias.get(known, {}))
