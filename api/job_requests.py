"""What POST /v1/jobs takes: the request of any route that asks the model, with the route's name."""

from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, Field, create_model

from api.decision_requests import DecisionRequest
from api.requests import ChatRequest, ClassifyRequest, CompletionRequest, JobRequest
from api.systemone_requests import SystemOneRequest
from shared.job import Endpoint

REQUESTS: dict[Endpoint, type[JobRequest]] = {
    "/v1/classify": ClassifyRequest,
    "/v1/chat/completions": ChatRequest,
    "/v1/completions": CompletionRequest,
    "/v1/decisions": DecisionRequest,
    "/v1/systemone": SystemOneRequest,
}
"""What each route that asks the model takes."""


def job_request(endpoint: Endpoint) -> type[BaseModel]:
    """What POST /v1/jobs takes for a route: the route's own request, named, and not streamed."""
    asked = REQUESTS[endpoint]
    named = Field(description="The route whose work this is.")
    polled = Field(None, description="A job is polled, so nothing can be streamed.")
    fields: dict[str, Any] = {"endpoint": (Literal[endpoint], named)}
    if "stream" in asked.model_fields:
        fields["stream"] = (Literal[False] | None, polled)
    return create_model(
        asked.__name__.replace("Request", "Job"), __base__=asked, __doc__=asked.__doc__, **fields
    )


AnyJob: Any = Annotated[
    Union[tuple(job_request(endpoint) for endpoint in REQUESTS)],  # noqa: UP007 (made of what there is)
    Field(discriminator="endpoint"),
]
"""What POST /v1/jobs takes."""
