"""What a request to write text asks of the engine."""

import json
import secrets
from collections.abc import Sequence

from api.errors import ApiError
from api.requests import ChatRequest, CompletionRequest, WritingRequest
from api.schemas import CLASSIFIER
from shared.job import Generation, Request

COMPLETION_TOKENS = 16  # OpenAI's default for completions; a chat goes on to its end
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def completion(asked: CompletionRequest, model: str, most: int) -> Request:
    """Text after each prompt; at most `most` new tokens.

    Raises:
        ApiError: 400, a field that cannot be served.
    """
    tokens = _tokens(asked.max_tokens or min(COMPLETION_TOKENS, most), most, "max_tokens")
    return Request(asked.prompts, model, generation=_generation(asked, tokens, asked.logprobs, chat=False))


def chat(asked: ChatRequest, model: str, most: int) -> Request:
    """The assistant's next message, of at most `most` tokens.

    Raises:
        ApiError: 400, a field that cannot be served.
    """
    param = "max_tokens" if asked.max_completion_tokens is None else "max_completion_tokens"
    tokens = _tokens(asked.max_completion_tokens or asked.max_tokens or most, most, param)
    if asked.top_logprobs and not asked.logprobs:
        message = "'top_logprobs' needs 'logprobs': true."
        raise ApiError(400, "invalid_value", message, "top_logprobs")
    logprobs = (asked.top_logprobs or 0) if asked.logprobs else None
    conversation = json.dumps(_messages(asked), ensure_ascii=False)
    return Request((conversation,), model, generation=_generation(asked, tokens, logprobs, chat=True))


def refuse_what_labels_have_not(asked: ChatRequest) -> None:
    """Raises ApiError: the classifier has probabilities of labels, not of tokens."""
    for param in ("logprobs", "top_logprobs"):
        if getattr(asked, param):
            message = f"'{param}' is not supported by {CLASSIFIER}: 'classification' has the probabilities."
            raise ApiError(400, "invalid_value", message, param)


def _generation(asked: WritingRequest, tokens: int, logprobs: int | None, *, chat: bool) -> Generation:
    for param in ("frequency_penalty", "presence_penalty", "logit_bias"):
        if getattr(asked, param):
            raise ApiError(400, "invalid_value", f"'{param}' is not supported; leave it out.", param)
    temperature = 1.0 if asked.temperature is None else asked.temperature
    return Generation(
        max_tokens=tokens,
        temperature=temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        top_k=asked.top_k or 0,
        seed=_seed(asked.seed) if temperature else None,
        stop=asked.stops,
        logprobs=logprobs,
        chat=chat,
        stream=bool(asked.stream),
    )


def _seed(asked: int | None) -> int:
    """Chosen here, so that a text that is written again after a crash comes out the same."""
    return secrets.randbits(63) if asked is None else asked


def _tokens(asked: int, most: int, param: str) -> int:
    if asked > most:
        raise ApiError(400, "invalid_value", f"'{param}' is {asked}; it may be at most {most}.", param)
    return asked


def _messages(asked: ChatRequest) -> Sequence[dict[str, str]]:
    for place, message in enumerate(asked.messages):
        if message.role not in ROLES:
            name = f"messages[{place}].role"
            raise ApiError(400, "invalid_value", f"'{name}' may be {', '.join(ROLES)}.", name)
    return [{"role": ROLES[message.role], "content": message.text} for message in asked.messages]
