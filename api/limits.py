"""What a client has left of its windows and of the queue, as headers on answers and refusals.

`RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-11, whose lists name each
limit; `x-ratelimit-*` are OpenAI's, for the window that has the least left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_RETRY = 120  # seconds: openai's client waits this long at most, and gives up above
UNKNOWN_DRAIN = 5  # seconds to wait when nothing has been measured yet


@dataclass(frozen=True)
class Window:
    """A sliding window: so many texts in so many seconds; `left` may be sent now, more in `opens` seconds."""

    name: str
    limit: int
    seconds: int
    left: int
    opens: int


@dataclass(frozen=True)
class Places:
    """The bound on waiting texts, and how many more may wait now."""

    name: str
    limit: int
    left: int


@dataclass(frozen=True)
class Limits:
    """What admission.lua has found.

    Attributes:
        pace: measured seconds from one text's end to the next while there is work; None: not measured.
        waiting: texts that wait, of which `waiting_bulk` at bulk priority.
    """

    windows: Sequence[Window]
    places: Sequence[Places]
    pace: float | None
    waiting: int
    waiting_bulk: int

    def headers(self) -> dict[str, str]:
        policy = [f'"{w.name}";q={w.limit};w={w.seconds}' for w in self.windows]
        policy += [f'"{p.name}";q={p.limit};qu="concurrent-requests"' for p in self.places]
        left = [f'"{w.name}";r={w.left};t={w.opens}' for w in self.windows]
        left += [f'"{p.name}";r={p.left}' for p in self.places]
        return {"RateLimit-Policy": ", ".join(policy), "RateLimit": ", ".join(left)} | self._openai()

    def drain(self, texts: int) -> int:
        """Whole seconds in which so many texts are done, LONGEST_RETRY at most."""
        seconds = UNKNOWN_DRAIN if self.pace is None else math.ceil(texts * self.pace)
        return min(LONGEST_RETRY, max(1, seconds))

    def _openai(self) -> dict[str, str]:
        if not self.windows:
            return {}
        tightest = min(self.windows, key=lambda window: (window.left, -window.opens))
        return {
            "x-ratelimit-limit-requests": str(tightest.limit),
            "x-ratelimit-remaining-requests": str(tightest.left),
            "x-ratelimit-reset-requests": f"{tightest.opens}s",
        }
