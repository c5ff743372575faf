"""From what was found for each question to the bodies of decisions and systemone."""

import math
from collections.abc import Sequence

from api.question_schemas import (
    ChoiceProbability,
    Chosen,
    Decision,
    DecisionUsage,
    LevelProbability,
    NamedChoice,
    NamedRefusal,
    NamedScore,
    Noul,
    Predicate,
    Refusal,
    Score,
    SystemOne,
    SystemOneUsage,
)
from api.schemas import Timing
from shared.job import JobRecord
from shared.questions import Finding, Question


def decision(job: JobRecord) -> Decision:
    (result,) = job.results
    pairs = zip(job.questions, result.findings or (), strict=True)
    return Decision(
        id=f"dec_{job.id.removeprefix('job_')}",
        created=job.created // 1000,
        model=job.model,
        answers=[_answer(question, finding) for question, finding in pairs],
        truncated=result.truncated,
        usage=DecisionUsage(
            input_tokens=result.prompt_tokens,
            output_tokens=result.completion_tokens,
            total_tokens=result.prompt_tokens + result.completion_tokens,
        ),
        timing=_timing(job),
    )


def system_one(job: JobRecord) -> SystemOne:
    (result,) = job.results
    pairs = zip(job.questions, result.findings or (), strict=True)
    return SystemOne(
        id=f"sys_{job.id.removeprefix('job_')}",
        created=job.created // 1000,
        model=job.model,
        answers={question.name or "": _named(question, finding) for question, finding in pairs},
        truncated=result.truncated,
        usage=SystemOneUsage(input_tokens=result.prompt_tokens, output_tokens=result.completion_tokens),
        timing=_timing(job),
    )


def confidence_of(chances: Sequence[float]) -> float:
    """Of a score: 1 less its standard deviation, as a share of the largest that there is."""
    if len(chances) == 1:
        return 1.0
    mean = expected(chances)
    variance = sum(chance * (level - mean) ** 2 for level, chance in enumerate(chances))
    return round(max(0.0, 1 - math.sqrt(variance) / ((len(chances) - 1) / 2)), 6)


def expected(chances: Sequence[float]) -> float:
    """The level, from 0, on average."""
    return round(sum(level * chance for level, chance in enumerate(chances)), 6)


def _answer(question: Question, finding: Finding) -> Predicate | Chosen | Score | Refusal:
    chances, mass, name = finding.chances, finding.label_mass, question.name
    if finding.refusal is not None:
        return Refusal(name=name, reason=finding.refusal)
    if question.kind == "predicate":
        return Predicate(name=name, probability=chances[0], label_mass=mass)
    pairs = list(zip(question.options, chances, strict=True))
    if question.kind == "choice":
        return Chosen(
            name=name,
            choice=question.options[_best(chances)].value,
            confidence=max(chances),
            probabilities=[ChoiceProbability(value=o.value, probability=chance) for o, chance in pairs],
            label_mass=mass,
        )
    return Score(
        name=name,
        score=expected(chances),
        confidence=confidence_of(chances),
        probabilities=[
            LevelProbability(label=option.text, value=level, probability=chance)
            for level, (option, chance) in enumerate(pairs)
        ],
        label_mass=mass,
    )


def _named(question: Question, finding: Finding) -> Noul | NamedChoice | NamedScore | NamedRefusal:
    chances, mass = finding.chances, finding.label_mass
    if finding.refusal is not None:
        return NamedRefusal(reason=finding.refusal)
    if question.kind == "predicate":
        return Noul(noul=chances[0], label_mass=mass)
    if question.kind == "choice":
        return NamedChoice(
            choice=question.options[_best(chances)].value,
            confidence=max(chances),
            probabilities={
                option.value: chance for option, chance in zip(question.options, chances, strict=True)
            },
            label_mass=mass,
        )
    return NamedScore(
        score=expected(chances),
        confidence=confidence_of(chances),
        legend={str(level): option.value for level, option in enumerate(question.options)},
        probabilities={str(level): chance for level, chance in enumerate(chances)},
        label_mass=mass,
    )


def _best(chances: Sequence[float]) -> int:
    return max(range(len(chances)), key=chances.__getitem__)


def _timing(job: JobRecord) -> Timing:
    return Timing(queue_ms=job.queue_ms, inference_ms=job.inference_ms)
