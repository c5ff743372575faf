"""What the Prefer header of a request asks for (RFC 7240): an answer later, and how long to wait for it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import g, request

NUMBER = re.compile("[0-9]{1,9}")


@dataclass(frozen=True)
class Preferences:
    """
    Attributes:
        respond_async: answer 202 when the work is not done in time.
        wait: seconds; None when nothing was said.
    """

    respond_async: bool = False
    wait: int | None = None

    def patience(self, most: float) -> float:
        """Seconds to wait for the work, at most `most`; none when only a later answer was asked for."""
        return min(most, self.wait) if self.wait is not None else 0 if self.respond_async else most

    def applied(self, patience: float) -> dict[str, str]:
        """The header of an answer that came while its caller waited for `patience`."""
        return {"Preference-Applied": f"wait={self.wait}"} if self.wait == patience else {}

    def applied_later(self, patience: float) -> str:
        """The value of that header where the answer is to come later."""
        return ", ".join(["respond-async", *self.applied(patience).values()])


def preferences() -> Preferences:
    """Those of the request that is being handled; several headers count as one. They change the answer."""
    g.vary = "Prefer"
    return read_preferences(",".join(request.headers.getlist("Prefer")))


def read_preferences(header: str) -> Preferences:
    """What is unknown or malformed is ignored, as RFC 7240 wants; of repeated ones the first counts."""
    asked: dict[str, str | None] = {}
    for preference in _split(header, ","):
        name, value = _name_and_value(next(_split(preference, ";"), ""))
        asked.setdefault(name, value)
    wait = asked.get("wait")
    return Preferences(
        respond_async="respond-async" in asked and not asked["respond-async"],
        wait=int(wait) if wait and NUMBER.fullmatch(wait) else None,
    )


def _name_and_value(preference: str) -> tuple[str, str | None]:
    name, _, value = preference.partition("=")
    return name.strip().lower(), _unquoted(value.strip())


def _unquoted(value: str) -> str | None:
    """The text of a token or a quoted string; None for half of one."""
    if not value.startswith('"'):
        return value
    if len(value) < 2 or not value.endswith('"'):
        return None
    text, escaped = "", False
    for character in value[1:-1]:
        escaped = character == "\\" and not escaped
        text += "" if escaped else character
    return text


def _split(text: str, separator: str) -> Iterator[str]:
    """Parts between separators that do not stand in quotes."""
    start, quoted, escaped = 0, False, False
    for place, character in enumerate(text):
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = quoted and character == "\\" and not escaped
        if character == separator and not quoted:
            yield text[start:place]
            start = place + 1
    yield text[start:]
