"""The README's examples, run as they stand against the processes that `make run` starts."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.deploy.stack import Stack
from tests.services import ROOT, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(bash|python)\n([^`]*)```\n```(?:json)?\n([^`]*)```", README, flags=re.DOTALL)
VARIES = {"id", "created", "created_at", "timing", "probability", "probabilities", "label_mass", "position"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`make run` with its defaults, on ports and in a folder of the test's own."""
    with running(Stack(tmp_path_factory.mktemp("readme"), model="models/newsroom-mini")) as up:
        yield up.wait_until_greeted()


def shape(value: object) -> object:
    """A JSON answer without what differs from run to run: ids, times, the last digits of probabilities."""
    if isinstance(value, dict):
        return {k: type(v).__name__ if k in VARIES else shape(v) for k, v in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else value


def run(language: str, code: str, port: int) -> str:
    code = code.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    program = ["bash", "-euc", code] if language == "bash" else [sys.executable, "-c", code]
    return subprocess.run(program, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_readme_has_its_examples():
    assert [language for language, _, _ in EXAMPLES] == ["bash", "python", "bash", "python"]


@pytest.mark.parametrize("example", range(4))
def test_the_readmes_examples_print_what_it_says(stack: Stack, example: int):
    language, code, printed = EXAMPLES[example]
    output = run(language, code, stack.port)
    if printed.lstrip().startswith("{"):
        assert shape(json.loads(output)) == shape(json.loads(printed))
    else:
        assert output.strip() == printed.strip()


def test_what_make_run_prints_is_in_the_readme(stack: Stack):
    said = README.partition("```\nstarting …")[2].partition("```")[0].splitlines()
    printed = [line for line in stack.output.splitlines()[1:] if "password" not in line]
    assert [frame(line) for line in printed] == [frame(line) for line in said[1:]]


def frame(line: str) -> str:
    """A line of the greeting without the places and figures that differ."""
    return re.sub(r"p = [\d.]+|http://[\w.:]+|(?<=^Logs     ).*", "…", line)


def test_links_in_the_documents_lead_somewhere():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.relative_to(ROOT)}: {link}"
