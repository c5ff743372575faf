"""From what is asked to a prompt's tokens: a chat through the model's own template, or plain text."""

import json
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from shared.errors import BadPrompt

SLOT = "\ue000{}\ue001"  # private-use characters: in no chat template


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """A completion's prompt, taken as the client wrote it: its control tokens are control tokens."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def encode_chat(tokenizer: Any, text: str) -> list[int]:
    """The messages in the model's chat template, up to where the assistant answers.

    Each content is encoded apart, as plain data: no control token can come out of it.

    Args:
        text: list of {role, content}, as JSON.

    Raises:
        BadPrompt: the template cannot hold them.
    """
    messages = json.loads(text)
    ids: list[int] = []
    rest = _render(tokenizer, messages)
    for place, message in enumerate(messages):
        before, slot, rest = rest.partition(SLOT.format(place))
        if not slot:
            raise BadPrompt(f"the model's chat template has no place for messages[{place}] there; remove it")
        ids += encode_text(tokenizer, before) + _encode_data(tokenizer, message["content"])
    return ids + encode_text(tokenizer, rest)


def _render(tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
    slots = [{"role": message["role"], "content": SLOT.format(n)} for n, message in enumerate(messages)]
    try:
        return tokenizer.apply_chat_template(
            slots, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
    except TemplateError as error:
        raise BadPrompt(f"the model's chat template refuses these messages: {error}") from None


def _encode_data(tokenizer: Any, content: str) -> list[int]:
    clean = content.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    return tokenizer(clean, add_special_tokens=False, split_special_tokens=True)["input_ids"] if clean else []
