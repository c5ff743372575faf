"""From a request that asks the model to an admitted job: validate, then one Lua call."""

from flask import request

from api.admission import Admitted, Terms
from api.auth import caller
from api.body import parse
from api.clients import Client
from api.errors import ApiError
from api.requests import ChatRequest, ClassifyRequest, JobRequest
from api.service import Service
from shared.job import Endpoint, Priority, Request

CLASSIFY: Endpoint = "/v1/classify"
CHAT: Endpoint = "/v1/chat/completions"
LONGEST_KEY = 255  # characters of an Idempotency-Key
Asked = tuple[tuple[str, ...], JobRequest, str]  # texts, what else is asked, the field that holds the texts


def admit(desk: Service, endpoint: Endpoint, body: dict, *, waits: bool) -> Admitted:
    """The job that does what the body asks; `waits` when its caller stays on the connection.

    Raises:
        ApiError: what is wrong with the request, or why it is refused.
    """
    client = caller()
    texts, asked, param = _asked_in_chat(body) if endpoint == CHAT else _asked_to_classify(body)
    _check_texts(texts, param, desk.config.max_characters)
    threshold = asked.abstain_below if isinstance(asked, ClassifyRequest) else None
    work = Request(texts, desk.models.resolve(asked.model), threshold)
    return desk.admission.admit(client, endpoint, work, _terms(desk, client, asked, texts, waits))


def _terms(desk: Service, client: Client, asked: JobRequest, texts: tuple[str, ...], waits: bool) -> Terms:
    store = not request.cache_control.no_store
    served = desk.models.answering() if store else None
    return Terms(
        priority=_priority(client, asked.priority),
        waits=waits,
        expires_in=asked.expires_in,
        idempotency_key=_idempotency_key(),
        digests=[served.digest(text) for text in texts] if served else (),
        store=store,
    )


def _priority(client: Client, asked: Priority | None) -> Priority:
    if asked == "interactive" and client.priority == "bulk":
        message = "Your key may ask for bulk priority only; send 'bulk' or leave 'priority' out."
        raise ApiError(403, "priority_not_allowed", message, "priority")
    return asked or client.priority


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        message = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters."
        raise ApiError(400, "invalid_idempotency_key", message, "Idempotency-Key")
    return key


def _asked_to_classify(body: dict) -> Asked:
    wanted = parse(ClassifyRequest, body)
    return wanted.texts, wanted, "input"


def _asked_in_chat(body: dict) -> Asked:
    wanted = parse(ChatRequest, body)
    if wanted.news is None:
        message = "'messages' has no message with role user; the last one is the news."
        raise ApiError(400, "missing_field", message, "messages")
    return (wanted.news,), wanted, "messages"


def _check_texts(texts: tuple[str, ...], param: str, most: int) -> None:
    for index, text in enumerate(texts):
        name = f"{param}[{index}]" if len(texts) > 1 else param
        if not text.strip():
            raise ApiError(400, "empty_input", f"'{name}' is empty; send the text of the news.", name)
        if len(text) > most:
            message = f"'{name}' has {len(text)} characters; at most {most} are taken."
            raise ApiError(413, "text_too_long", message, name)
