"""The remote engine, against a real server with the same weights: the same labels and texts."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from shared.errors import ArtifactError, BadLabels, EmptyItem
from shared.job import Generation
from shared.questions import Option, Question
from shared.settings import Settings
from tests.engine.asking import ASKING
from tests.engine.conftest import load
from tests.services import Process, free_port, running
from tests.waiting import wait_until
from worker.engine.loading import load_engine
from worker.engine.remote import RemoteEngine
from worker.engine.transformers_engine import TransformersEngine

TEXTS = ["央行下调利率", "Oil prices rose", "股市上涨。" * 5]
ASKED = ("利好", "利空")


@pytest.fixture(scope="module")
def frame(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact without its weights."""
    folder = tmp_path_factory.mktemp("frame") / "artifact"
    return Path(shutil.copytree(tiny, folder, ignore=shutil.ignore_patterns("*.safetensors", "config.json")))


@pytest.fixture(scope="module")
def address(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("remote") / "server.log"
    server = Process([sys.executable, "-m", "tests.remote_server", str(tiny), str(port)], log)

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/").status_code == 404
        except httpx.TransportError:
            return False

    with running(server):
        wait_until(answers, "the server answers")
        yield f"openai+http://127.0.0.1:{port}/v1#tiny"


def connect(address: str, frame: Path, **settings: object) -> RemoteEngine:
    config = Settings(model=address, remote_artifact=frame, **({"remote_key": "sesame"} | settings))
    engine = load_engine(config)
    assert isinstance(engine, RemoteEngine)
    return engine


@pytest.fixture
def remote(address: str, frame: Path) -> RemoteEngine:
    return connect(address, frame)


def same(one, other) -> None:
    assert one.label == other.label
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert one.label_mass == pytest.approx(other.label_mass, abs=1e-4)
    assert (one.prompt_tokens, one.completion_tokens) == (other.prompt_tokens, other.completion_tokens)
    assert (one.answer, one.labels, one.truncated) == (other.answer, other.labels, other.truncated)


def test_answers_without_their_end_of_turn_are_scored_there_too(address: str, frame: Path, copy: Path):
    own = Path(shutil.copytree(frame, copy.with_name("own")))
    for folder in (own, copy):
        path = folder / "prompt.toml"
        lines = path.read_text(encoding="utf-8").replace("{label}", "{label}。")
        path.write_text(f"{lines}\nscore_end = false\n", encoding="utf-8")
    here = load(copy).classify(TEXTS)
    for there, local in zip(connect(address, own).classify(TEXTS), here, strict=True):
        same(there, local)


def test_labels_are_those_of_the_same_weights_here(remote: RemoteEngine, engine: TransformersEngine):
    for there, here in zip(remote.classify(TEXTS), engine.classify(TEXTS), strict=True):
        same(there, here)


def test_labels_of_a_request_and_verdicts_are_too(address: str, tiny: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny, tmp_path / "multi"))
    path = folder / "prompt.toml"
    said = path.read_text(encoding="utf-8").replace("{label}", "{label}？{verdict}")
    path.write_text(said, encoding="utf-8")
    here = load(folder)
    there = connect(address, folder)
    labels = [None, ASKED, None]
    for one, other in zip(there.classify(TEXTS, labels), here.classify(TEXTS, labels), strict=True):
        same(one, other)


def test_labels_that_cannot_be_asked_are_a_bad_request(address: str, tiny: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny, tmp_path / "slots"))
    path = folder / "prompt.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("{label}", "{a}、{b}"), encoding="utf-8")
    (folder / "taxonomy.toml").write_text('name = "x"\n[slots]\na = ["1", "2"]\nb = ["3", "4"]\n')
    (answer,) = connect(address, folder).classify(["央行"], [ASKED])
    assert isinstance(answer, BadLabels)


def same_findings(one, other) -> None:
    for there, here in zip(one, other, strict=True):
        assert (there.prompt_tokens, there.completion_tokens) == (here.prompt_tokens, here.completion_tokens)
        for found, expected in zip(there.findings, here.findings, strict=True):
            assert found.chances == pytest.approx(expected.chances, abs=1e-4)
            assert found.label_mass == pytest.approx(expected.label_mass, abs=1e-4)


def test_questions_are_answered_as_by_the_same_weights_here(address: str, tiny: Path, tmp_path: Path):
    folder = Path(shutil.copytree(tiny, tmp_path / "asking"))
    path = folder / "prompt.toml"
    path.write_text(path.read_text(encoding="utf-8") + ASKING, encoding="utf-8")
    levels = (Option("Oil"), Option("下调"), Option("cut"))
    questions = [
        Question("predicate", "央行"),
        Question("choice", "什么", levels),
        Question("score", "x", levels),
    ]
    asked = [(TEXTS[0], questions), (TEXTS[2], questions[:1]), (TEXTS[1], questions[1:])]
    same_findings(connect(address, folder).decide(asked), load(folder).decide(asked))


def test_a_choice_among_own_labels_is_answered_as_here(remote: RemoteEngine, engine: TransformersEngine):
    own = Question("choice", "什么新闻", tuple(map(Option, remote.describe().labels[:3])))
    asked = [(text, [own]) for text in TEXTS]
    same_findings(remote.decide(asked), engine.decide(asked))


def test_a_text_without_anything_to_ask_about_fails_alone(remote: RemoteEngine):
    own = Question("choice", "什么新闻", tuple(map(Option, remote.describe().labels[:3])))
    bad, good = remote.decide([("\x00", [own]), (TEXTS[0], [own])])
    assert isinstance(bad, EmptyItem)
    assert good.findings


def test_a_bad_text_fails_alone(remote: RemoteEngine):
    bad, good = remote.classify(["\x00", TEXTS[0]])
    assert isinstance(bad, EmptyItem)
    assert good.label


def write(engine, *asked: tuple[str, Generation]):
    rows = engine.texts.start(asked)
    while not all(row.ended for row in rows):
        engine.texts.step()
    return rows


def test_texts_are_those_of_the_same_weights_here(remote: RemoteEngine, engine: TransformersEngine):
    asked = [(text, Generation(max_tokens=12, temperature=0, logprobs=0)) for text in TEXTS]
    for there, here in zip(write(remote, *asked), write(engine, *asked), strict=True):
        assert (there.text, there.finish_reason) == (here.text, here.finish_reason)
        assert len(there.written) == len(here.written)
        assert [t.logprob for t in there.logprobs] == pytest.approx(
            [t.logprob for t in here.logprobs], abs=1e-4
        )


def test_a_text_that_the_server_refuses_fails_alone(remote: RemoteEngine):
    how = Generation(max_tokens=2, temperature=0)
    good, bad = write(remote, ("央行", how), ("利" * 500, how))
    assert good.finish_reason
    assert "HTTP 400" in str(bad.error)


def test_a_dropped_text_ends(remote: RemoteEngine):
    (row,) = remote.texts.start([("央行", Generation(max_tokens=300, temperature=0))])
    while not row.text:
        remote.texts.step()
    remote.texts.drop(row)
    assert row.ended
    remote.texts.step()
    assert row.evicted


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "openai+ftp://x/v1#m"}, "write it openai"),
        ({"model": "openai+http://x/v1"}, "write it openai"),
        ({"remote_artifact": None}, "needs WIREDESK_REMOTE_ARTIFACT"),
        ({"remote_key": "wrong"}, "cannot score tiny: NotFoundError"),
    ],
)
def test_what_cannot_be_served_is_refused_at_the_start(address: str, frame: Path, settings: dict, says: str):
    with pytest.raises(ArtifactError, match=says):
        load_engine(
            Settings(**{"model": address, "remote_artifact": frame, "remote_key": "sesame"} | settings)
        )
