"""Log-probabilities of tokens in OpenAI's two shapes."""

from collections.abc import Sequence
from itertools import accumulate

from api.schemas import ChatLogprob, ChatLogprobs, TextLogprobs, TopLogprob
from shared.job import TokenLogprob

BROKEN = "\ufffd"  # stands for bytes that are no whole character


def chat_logprobs(tokens: Sequence[TokenLogprob] | None) -> ChatLogprobs | None:
    if tokens is None:
        return None
    return ChatLogprobs(
        content=[
            ChatLogprob(
                token=token.token,
                logprob=token.logprob,
                bytes=_bytes(token.token),
                top_logprobs=[
                    TopLogprob(token=other, logprob=value, bytes=_bytes(other)) for other, value in token.top
                ],
            )
            for token in tokens
        ]
    )


def text_logprobs(tokens: Sequence[TokenLogprob] | None, offset: int = 0) -> TextLogprobs | None:
    """`offset`: characters of the text before the first of these tokens."""
    if tokens is None:
        return None
    ends = accumulate((len(token.token) for token in tokens), initial=offset)
    return TextLogprobs(
        tokens=[token.token for token in tokens],
        token_logprobs=[token.logprob for token in tokens],
        top_logprobs=[dict(token.top) for token in tokens],
        text_offset=list(ends)[:-1],
    )


def _bytes(token: str) -> list[int] | None:
    return None if BROKEN in token else list(token.encode())
