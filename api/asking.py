"""From a request that asks the model to an admitted job: understand, then one Lua call."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from flask import g, request

from api import writing
from api.admission import Admitted, Terms
from api.auth import caller
from api.body import parse
from api.clients import Client
from api.decision_requests import DecisionRequest
from api.errors import ApiError
from api.parameters import idempotency_key
from api.requests import ChatRequest, ClassifyRequest, CompletionRequest, JobRequest, WritingRequest
from api.schemas import CLASSIFIER
from api.service import Service
from api.systemone_requests import SystemOneRequest
from shared.job import Endpoint, Priority, Request

CLASSIFY: Endpoint = "/v1/classify"
CHAT: Endpoint = "/v1/chat/completions"
COMPLETIONS: Endpoint = "/v1/completions"
DECISIONS: Endpoint = "/v1/decisions"
SYSTEM_ONE: Endpoint = "/v1/systemone"


@dataclass(frozen=True)
class Asked:
    """A validated request: the work, how its caller wants it, and what its texts are called there."""

    work: Request
    wishes: JobRequest
    param: str

    @property
    def stream(self) -> bool:
        return isinstance(self.wishes, WritingRequest) and bool(self.wishes.stream)

    @property
    def include_usage(self) -> bool:
        return isinstance(self.wishes, WritingRequest) and self.wishes.include_usage


def understand(desk: Service, endpoint: Endpoint, body: dict) -> Asked:
    """What the body asks for.

    Raises:
        ApiError: what is wrong with it.
    """
    asked = _UNDERSTAND[endpoint](desk, body)
    _check_texts(asked, desk.config.max_characters)
    return asked


def admit(desk: Service, endpoint: Endpoint, asked: Asked, *, waits: bool, later: bool = False) -> Admitted:
    """The job that does it; `waits` when its caller stays on the connection, `later` when not to its end.

    Raises:
        ApiError: why it is refused.
    """
    client = caller()
    terms = _terms(desk, client, asked, waits, later)
    work = _repeatable(asked, terms.idempotency_key)
    return tell_limits(desk.admission.admit(client, endpoint, work, terms))


def tell_limits(admitted: Admitted) -> Admitted:
    """Whatever becomes of the request now, its answer says what its client has left (api/headers.py)."""
    g.limits = admitted.limits
    return admitted


def _repeatable(asked: Asked, key: str | None) -> Request:
    """The work; a seed that its caller left to us is the same whenever it is sent under the same key."""
    work, wishes = asked.work, asked.wishes
    ours = isinstance(wishes, WritingRequest) and wishes.seed is None
    if key is None or not ours or work.generation is None or work.generation.seed is None:
        return work
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 1
    return replace(work, generation=replace(work.generation, seed=seed))


def reusable(desk: Service, work: Request) -> tuple[str, ...]:
    """Names of the answers in the cache, one for each text; none where nothing can be reused."""
    served = desk.models.answering() if work.generation is None else None
    asked = work.labels, work.questions
    return tuple(served.digest(text, *asked) for text in work.texts) if served else ()


def _terms(desk: Service, client: Client, asked: Asked, waits: bool, later: bool) -> Terms:
    labels = asked.work.generation is None  # text is written anew each time
    store = labels and not request.cache_control.no_store
    return Terms(
        priority=_priority(client, asked.wishes.priority),
        waits=waits,
        expires_in=asked.wishes.expires_in,
        idempotency_key=idempotency_key(),
        digests=reusable(desk, asked.work) if store else (),
        store=store,
        later=later,
    )


def _priority(client: Client, asked: Priority | None) -> Priority:
    if asked == "interactive" and client.priority == "bulk":
        message = "Your key may ask for bulk priority only; send 'bulk' or leave 'priority' out."
        raise ApiError(403, "priority_not_allowed", message, "priority")
    return asked or client.priority


def _asked_to_classify(desk: Service, body: dict) -> Asked:
    wanted = parse(ClassifyRequest, body)
    model = desk.models.classifier(wanted.model)
    labels = tuple(wanted.labels) if wanted.labels else None
    if labels and not desk.models.zero_shot:
        message = "This model answers with its own labels only (GET /v1/models); leave 'labels' out."
        raise ApiError(400, "labels_not_supported", message, "labels")
    return Asked(Request(wanted.texts, model, wanted.abstain_below, labels=labels), wanted, "input")


def _asked_in_chat(desk: Service, body: dict) -> Asked:
    wanted = parse(ChatRequest, body)
    model = desk.models.resolve(wanted.model)
    if model != CLASSIFIER:
        return Asked(writing.chat(wanted, model, desk.config.max_new_tokens), wanted, "messages")
    writing.refuse_what_labels_have_not(wanted)
    if wanted.news is None:
        message = "'messages' has no message with role user; the last one is the news."
        raise ApiError(400, "missing_field", message, "messages")
    return Asked(Request((wanted.news,), model), wanted, "messages")


def _asked_to_complete(desk: Service, body: dict) -> Asked:
    wanted = parse(CompletionRequest, body)
    model = desk.models.writer(wanted.model)
    return Asked(writing.completion(wanted, model, desk.config.max_new_tokens), wanted, "prompt")


def _asked_to_decide(desk: Service, body: dict) -> Asked:
    return _asked_questions(desk, parse(DecisionRequest, body), "input")


def _asked_system_one(desk: Service, body: dict) -> Asked:
    return _asked_questions(desk, parse(SystemOneRequest, body), "state")


def _asked_questions(desk: Service, wanted: DecisionRequest | SystemOneRequest, param: str) -> Asked:
    model, questions, most = (
        desk.models.resolve(wanted.model),
        wanted.asked,
        desk.config.max_question_characters,
    )
    size = sum(question.characters for question in questions)
    if size > most:
        message = f"'questions' has {size} characters in all; at most {most} are taken."
        raise ApiError(413, "text_too_long", message, "questions")
    return Asked(Request((wanted.text,), model, questions=questions), wanted, param)


_UNDERSTAND: dict[Endpoint, Callable[[Service, dict], Asked]] = {
    CLASSIFY: _asked_to_classify,
    CHAT: _asked_in_chat,
    COMPLETIONS: _asked_to_complete,
    DECISIONS: _asked_to_decide,
    SYSTEM_ONE: _asked_system_one,
}


def _check_texts(asked: Asked, most: int) -> None:
    texts, param = asked.work.texts, asked.param
    for index, text in enumerate(texts):
        name = f"{param}[{index}]" if len(texts) > 1 else param
        if not text.strip() and asked.work.generation is None:
            raise ApiError(400, "empty_input", f"'{name}' is empty; send the text of the news.", name)
        if len(text) > most:
            message = f"'{name}' has {len(text)} characters; at most {most} are taken."
            raise ApiError(413, "text_too_long", message, name)
