"""A job: what the api writes, the worker finishes and the api reads back.

queued ──begin──> running ──finish──> succeeded | failed
 │ ^ ^               │ │                          │
 │ │ └──worker lost──┘ └──cancel──> cancelled     │
 │ └────────────────────retry─────────────────────┘
 └──cancel──> cancelled,  ──deadline──> expired

One request is one job; each of its texts is one part, and one message in the queue. Many questions about
one text are one part.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from shared.errors import UnknownVersion
from shared.questions import Finding, Question

VERSION = 2  # the newest that is read; older ones are, too
PLAIN, ASKING = 1, 2  # a job with questions is of version 2, so that a worker of version 1 leaves it alone
TASK = "wiredesk.classify"
GENERATE = "wiredesk.generate"
Endpoint = Literal[
    "/v1/classify", "/v1/chat/completions", "/v1/completions", "/v1/decisions", "/v1/systemone"
]
Priority = Literal["interactive", "bulk"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


def new_job_id() -> str:
    """`job_` and 128 random bits: without keys the id is the secret."""
    return f"job_{secrets.token_urlsafe(16)}"


def part_id(job_id: str, index: int) -> str:
    """The id of one text's message and Celery task."""
    return f"{job_id}.{index}"


def split_part_id(part: str) -> tuple[str, int]:
    job_id, _, index = part.rpartition(".")
    return job_id, int(index)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How text is to be written after a prompt.

    Attributes:
        max_tokens: most new tokens.
        temperature: 0 takes the likeliest token; else logits are divided by it.
        top_p, top_k: draw from the smallest set of likeliest tokens with this probability, and from so
            many of them; 1 and 0 leave all.
        seed: makes the draws repeat; None only where nothing is drawn.
        stop: texts before which the generation ends.
        logprobs: also the log-probability of each token and of so many alternatives.
        chat: the text is a list of messages ({role, content}) as JSON.
        stream: tokens are delivered as they are made.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    chat: bool = False
    stream: bool = False


@dataclass(frozen=True)
class Request:
    """What is asked of the engine: labels for texts (none below a probability; the model's own or those of
    the request), text after prompts, or answers to questions about a text."""

    texts: tuple[str, ...]
    model: str
    abstain_below: float | None = None
    generation: Generation | None = None
    labels: tuple[str, ...] | None = None
    questions: tuple[Question, ...] | None = None

    def to_json(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, ensure_ascii=False)

    @classmethod
    def from_json(cls, data: str) -> "Request":
        value = json.loads(data)
        asked = value.get("generation")
        generation = Generation(**asked | {"stop": tuple(asked["stop"])}) if asked else None
        labels = tuple(value["labels"]) if "labels" in value else None
        questions = tuple(map(Question.from_dict, value["questions"])) if "questions" in value else None
        return cls(
            tuple(value["texts"]), value["model"], value.get("abstain_below"), generation, labels, questions
        )

    @property
    def version(self) -> int:
        """Of the job's record."""
        return ASKING if self.questions else PLAIN

    @property
    def outline(self) -> str:
        """What the body of an answer repeats of the questions, as JSON; it stays when the job has ended."""
        asked = [asdict(question.outline) for question in self.questions or ()]
        return json.dumps(asked, ensure_ascii=False)

    @property
    def task(self) -> str:
        """The Celery task that does it."""
        return GENERATE if self.generation else TASK


@dataclass(frozen=True)
class TokenLogprob:
    """A token that was written: its text, its log-probability (nats), and the likeliest in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class PartResult:
    """The outcome of one text: a classification's fields, a generation's (`text` and what follows it), what
    was found for each question, or an error's code and message."""

    label: str | None = None
    answer: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    label_mass: float = 0.0
    truncated: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    labels: list[str] | None = None
    slots: dict[str, dict[str, float]] | None = None
    text: str | None = None
    finish_reason: Literal["stop", "length"] | None = None
    logprobs: list[TokenLogprob] | None = None
    findings: list[Finding] | None = None
    error_code: str | None = None
    error_message: str | None = None

    def to_json(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, ensure_ascii=False)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "PartResult":
        logprobs, findings = value.get("logprobs"), value.get("findings")
        read = {
            "logprobs": logprobs and [TokenLogprob(**token) for token in logprobs],
            "findings": findings and [Finding.from_dict(finding) for finding in findings],
        }
        return cls(**dict(value) | read)

    @property
    def failed(self) -> bool:
        return self.error_code is not None


@dataclass(frozen=True)
class JobRecord:
    """The hash job:<id>, read. Times are integer milliseconds of Redis's clock."""

    id: str
    client: str
    endpoint: Endpoint
    state: State
    attempts: int
    created: int
    started: int | None
    finished: int | None
    inference_ms: float
    model: str
    priority: Priority
    deadline: int | None
    results: tuple[PartResult, ...]
    request: str | None
    abstain_below: float | None
    questions: tuple[Question, ...] = ()

    @classmethod
    def from_hash(cls, job_id: str, value: Mapping[str, Any]) -> "JobRecord":
        """Raises UnknownVersion for a record that another version of Wiredesk has written."""
        if not 1 <= int(value["v"]) <= VERSION:
            raise UnknownVersion(f"job record has version {value['v']}, this Wiredesk reads up to {VERSION}")
        return cls(
            id=job_id,
            client=value["client"],
            endpoint=value["endpoint"],
            state=value["state"],
            attempts=int(value["attempts"]),
            created=int(value["created"]),
            started=int(value["started"]) if "started" in value else None,
            finished=int(value["finished"]) if "finished" in value else None,
            inference_ms=float(value.get("inference_ms", 0)),
            model=value["model"],
            priority=value.get("priority", "interactive"),
            deadline=int(value["deadline"]) if "deadline" in value else None,
            results=tuple(PartResult.from_dict(part) for part in json.loads(value.get("result", "[]"))),
            request=value.get("request"),
            abstain_below=float(value["abstain_below"]) if "abstain_below" in value else None,
            questions=tuple(map(Question.from_dict, json.loads(value.get("questions", "[]")))),
        )

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def queue_ms(self) -> int:
        return max(0, (self.started or self.created) - self.created)
