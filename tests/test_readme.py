"""The examples of README and docs/api.md, run as they stand against the processes that `make run` starts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.stack import Stack
from tests.examples import examples_of
from tests.services import ROOT, running

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {name: examples_of(ROOT / name) for name in ("README.md", "docs/api.md")}
EXAMPLES = [(name, place) for name, examples in DOCUMENTS.items() for place in range(len(examples))]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`make run` with its defaults, on ports and in a folder of the test's own."""
    with running(Stack(tmp_path_factory.mktemp("readme"), model="models/newsroom-mini")) as up:
        yield up.wait_until_greeted()


def test_no_block_of_code_and_no_answer_stands_alone():
    """Each is half of an example that is run."""
    for name, examples in DOCUMENTS.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        kinds = re.findall(r"^```(\w+)\n", text, flags=re.MULTILINE)
        code = sum(kind in ("bash", "python") for kind in kinds)
        answers = sum(kind in ("json", "http") for kind in kinds)
        assert examples
        assert answers == sum(example.prints in ("json", "http") for example in examples), name
        assert name == "README.md" or code == len(examples), name


@pytest.mark.parametrize(("document", "place"), EXAMPLES)
def test_the_examples_print_what_they_say(stack: Stack, tmp_path: Path, document: str, place: int):
    DOCUMENTS[document][place].run(stack.port, tmp_path)


def test_what_make_run_prints_is_in_the_readme(stack: Stack):
    said = README.partition("```\nstarting …")[2].partition("```")[0].splitlines()
    printed = stack.output.splitlines()[1:]
    assert [frame(line) for line in printed] == [frame(line) for line in said[1:]]


def frame(line: str) -> str:
    """A line of the greeting without the places and figures that differ."""
    varies = r"p = [\d.]+|http://[\w.:]+|(?<=^Logs     ).*|(?<=password )\S+|(?<=kept in )[^)]+"
    return re.sub(varies, "…", line)


def test_links_in_the_documents_lead_somewhere():
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.relative_to(ROOT)}: {link}"
