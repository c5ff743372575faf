"""The examples of a document, run as they stand: a block of bash or python, and below it what it prints."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCKS = re.compile(r"```(bash|python)\n([^`]*)```\n```(json|http|text)?\n([^`]*)```")
VARIES = {
    *("id", "created", "timing", "revision", "request_id", "job_id", "file_id"),
    *("probability", "probabilities", "label_mass", "confidence", "position", "usage", "text"),
}
"""Members whose values differ from run to run: ids, times, the last digits of probabilities."""
TIMES = re.compile(r"\w+_at$|\w+_ms$|\w*file_id$")
VARYING_HEADERS = {"x-request-id", "location", "retry-after", "ratelimit", "x-ratelimit-reset-requests"}
ID = re.compile(r"job_[\w-]{22}")


@dataclass(frozen=True)
class Example:
    """
    Attributes:
        prints: "json", "http" (status, headers, body), or text.
    """

    language: str
    code: str
    prints: str
    printed: str

    def run(self, port: int, folder: Path) -> None:
        """Raises AssertionError: it prints something else."""
        output = self._output(port, folder)
        printed, expected = shape(self.prints, output), shape(self.prints, self.printed)
        if self.prints == "http":  # the document shows the headers that matter there
            printed["headers"] = {name: printed["headers"].get(name) for name in expected["headers"]}
        assert printed == expected, f"{self.code}\n{output}"

    def _output(self, port: int, folder: Path) -> str:
        code = self.code.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        program = ["bash", "-euo", "pipefail", "-c", code]
        if self.language == "python":
            program = [sys.executable, "-c", code]
        done = subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        return done.stdout


def examples_of(document: Path) -> list[Example]:
    found = BLOCKS.findall(document.read_text(encoding="utf-8"))
    return [Example(language, code, kind or "text", printed) for language, code, kind, printed in found]


def shape(kind: str, text: str) -> Any:
    """What must be the same in each run."""
    if kind == "json":
        return _value(json.loads(text))
    if kind == "http":
        return _answer(text)
    return [_line(line) for line in text.strip().splitlines()]


def _value(value: object) -> object:
    if isinstance(value, dict):
        return {k: type(v).__name__ if k in VARIES or TIMES.match(k) else _value(v) for k, v in value.items()}
    return [_value(one) for one in value] if isinstance(value, list) else value


def _answer(text: str) -> dict[str, Any]:
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    status, *lines = head.splitlines()
    pairs = (line.lower().partition(":") for line in lines)
    headers = {name: "…" if name in VARYING_HEADERS else value.strip() for name, _, value in pairs}
    return {"status": status.split()[1], "headers": headers, "body": _value(json.loads(body))}


def _line(line: str) -> object:
    """An event of a stream is JSON behind `data: `."""
    event = line.removeprefix("data: ")
    return _value(json.loads(event)) if event.startswith("{") else ID.sub("job_…", line)
