"""A job as its client sees it."""

from typing import Literal

from pydantic import ConfigDict, Field

from api.question_schemas import Decision, SystemOne
from api.schemas import (
    ChatClassification,
    ChatCompletion,
    Classification,
    Completion,
    Created,
    ErrorDetail,
    Schema,
)
from shared.job import Endpoint, Priority, State

Answer = Classification | ChatClassification | ChatCompletion | Completion | Decision | SystemOne


class JobStatus(Schema):
    """A job as its client sees it. Fields that do not apply (yet) are left out."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    id: str = Field(description="The job's id: without keys the secret that lets its result be read.")
    object: Literal["job"] = Field("job", description="What this is.")
    endpoint: Endpoint = Field(description="The route whose body `result` will be.")
    status: State = Field(description="Where the job is; the last four are final.")
    priority: Priority = Field(description="`bulk` waits while `interactive` texts wait.")
    position: int | None = Field(None, description="Texts that wait before it, while it is queued.")
    attempts: int = Field(0, description="How often a worker has begun it.")
    created_at: Created
    started_at: int | None = Field(None, description="When a worker began it, in Unix seconds.")
    finished_at: int | None = Field(None, description="When it ended, in Unix seconds.")
    result: Answer | None = Field(None, description="Exactly the body of the synchronous call.")
    error: ErrorDetail | None = Field(None, description="Why there is no result.")


class JobList(Schema):
    """One page of a client's jobs, newest first."""

    object: Literal["list"] = Field("list", description="What this is.")
    data: list[JobStatus] = Field(description="The jobs, without their results.")
    has_more: bool = Field(description="Whether `after=<id of the last>` gives more.")
