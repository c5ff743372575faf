"""Several slots, and any number of labels: what one forward says equals what naive scoring says."""

from pathlib import Path

import pytest
import torch

from shared.errors import ArtifactError, BadLabels, EngineFailure
from tests.engine.conftest import load
from tests.engine.tiny import tiny_tokenizer
from worker.engine.labels import SlotLabels
from worker.engine.prompt import Prompt
from worker.engine.prompt_template import PromptTemplate
from worker.engine.scoring import score_naive
from worker.engine.transformers_engine import TransformersEngine

TEXTS = ["央行下调利率", "Oil prices rose", "股市上涨。" * 5]
REGIONS, TOPICS = ("国内", "国际", "国"), ("股市", "债券", "股", "其他")
TEMPERATURE = 2.0  # of the tiny artifact


def with_answer(folder: Path, answer: str, taxonomy: str | None = None, more: str = "") -> TransformersEngine:
    path = folder / "prompt.toml"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("answer")]
    path.write_text("\n".join([*lines, f'answer = "{answer}"', more, ""]), encoding="utf-8")
    if taxonomy:
        (folder / "taxonomy.toml").write_text(taxonomy, encoding="utf-8")
    return load(folder)


def naive(engine: TransformersEngine, answers: list[str]) -> torch.Tensor:
    prompt = engine.prompt
    prompts = [prompt.item(text).ids + prompt.tail for text in TEXTS]
    sequences = [prompt.label_sequence(answer) for answer in answers]
    return score_naive(engine._model, prompt.head, prompts, sequences)


def in_slots(folder: Path, more: str = "") -> TransformersEngine:
    taxonomy = f'name = "slots"\n[slots]\nregion = {list(REGIONS)}\ntopic = {list(TOPICS)}\n'
    return with_answer(folder, "这条新闻属于：{region}、{topic}。", taxonomy, more)


def with_verdicts(folder: Path, more: str = "") -> TransformersEngine:
    more = f'verdicts = ["是", "不是"]\n{more}'
    return with_answer(folder, "这条新闻属于：{label}？{verdict}。", more=more)


@pytest.fixture
def slots(copy: Path) -> TransformersEngine:
    return in_slots(copy)


@pytest.fixture
def multi(copy: Path) -> TransformersEngine:
    return with_verdicts(copy)


ENDS = pytest.mark.parametrize("end", ["", "score_end = false"])


@ENDS
def test_each_slot_has_its_best_value_given_those_before_it(copy: Path, end: str):
    slots = in_slots(copy, end)
    answers = slots.classify(TEXTS)
    joined = [f"{region}、{topic}" for region in REGIONS for topic in TOPICS]
    joint = torch.softmax(naive(slots, joined) / TEMPERATURE, dim=1).reshape(-1, len(REGIONS), len(TOPICS))
    for answer, chances in zip(answers, joint, strict=True):
        region = int(chances.sum(1).argmax())
        topic = int(chances[region].argmax())
        assert answer.label == f"{REGIONS[region]}、{TOPICS[topic]}"
        assert answer.answer == f"这条新闻属于：{answer.label}。"
        given = chances[region] / chances[region].sum()
        assert list(answer.slots["region"].values()) == pytest.approx(chances.sum(1).tolist(), abs=1e-4)
        assert list(answer.slots["topic"].values()) == pytest.approx(given.tolist(), abs=1e-4)
        assert answer.probability == pytest.approx(float(chances[region, topic]), abs=1e-4)
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-4)


@ENDS
def test_every_label_has_a_verdict_of_its_own(copy: Path, end: str):
    multi = with_verdicts(copy, end)
    names = multi.question.labels.names
    yes = naive(multi, [f"{name}？是" for name in names])
    no = naive(multi, [f"{name}？不是" for name in names])
    expected = torch.sigmoid((yes - no) / TEMPERATURE)
    for answer, row in zip(multi.classify(TEXTS), expected.tolist(), strict=True):
        assert list(answer.probabilities.values()) == pytest.approx(row, abs=1e-4)
        assert answer.labels == tuple(n for n, p in answer.probabilities.items() if p >= 0.5)
        assert answer.probability == max(answer.probabilities.values())
        assert answer.answer == f"这条新闻属于：{'、'.join(answer.labels)}。"
        assert 0 <= answer.label_mass <= 1


def test_the_mass_of_verdicts_is_what_the_model_gives_to_yes_and_no(multi: TransformersEngine):
    """Of the label with the least: P(yes) + P(no), each to the end of its answer, after the label."""
    prompt = multi.prompt
    (answer,) = multi.classify(TEXTS[:1])
    least = 1.0
    for name in multi.question.labels.names:
        begun = prompt.label_sequence(f"{name}？是")
        other = prompt.label_sequence(f"{name}？不是")
        shared = next(n for n, (a, b) in enumerate(zip(begun, other, strict=False)) if a != b)
        before = [prompt.item(TEXTS[0]).ids + prompt.tail + begun[:shared]]
        scores = score_naive(multi._model, prompt.head, before, [begun[shared:], other[shared:]])
        least = min(least, float(scores.exp().sum()))
    assert answer.label_mass == pytest.approx(least, abs=1e-4)


def test_labels_of_a_request_get_verdicts_too(multi: TransformersEngine):
    (answer,) = multi.classify(["央行"], [("利好", "利空")])
    assert set(answer.probabilities) == {"利好", "利空"}
    assert answer.labels is not None


def test_slots_take_no_labels_of_a_request(slots: TransformersEngine):
    (answer,) = slots.classify(["央行"], [("利好", "利空")])
    assert isinstance(answer, BadLabels)


@pytest.mark.parametrize("kind", ["slots", "multi"])
def test_scores_that_are_no_numbers_fail_their_text(kind: str, request: pytest.FixtureRequest, monkeypatch):
    engine = request.getfixturevalue(kind)
    scorer, honest = engine.question.scorer, engine.question.scorer.score

    def broken(prompts):
        return honest(prompts) * float("nan")

    monkeypatch.setattr(scorer, "score", broken)
    (answer,) = engine.classify(["央行"])
    assert isinstance(answer, EngineFailure)


def test_taxonomy_and_answer_must_have_the_same_slots(copy: Path):
    with pytest.raises(ArtifactError, match=r"prompt.toml has the slots region, topic, taxonomy.toml none"):
        with_answer(copy, "{region}、{topic}")


def test_too_many_combinations_are_refused():
    prompt = Prompt(PromptTemplate(answer="：{a}、{b}"), tiny_tokenizer())
    many = tuple(str(n) for n in range(40))
    with pytest.raises(ArtifactError, match="1600 combinations"):
        SlotLabels({"a": many, "b": many}, prompt)


@pytest.mark.parametrize(
    "taxonomy",
    [
        'name = "x"',
        'name = "x"\nlabels = [{id = "a", zh = "a", en = "a"}]',
        'name = "x"\n[slots]\na = ["1", "1"]',
        'name = "x"\n[slots]\na = ["1"]',
        'name = "x"\n[slots]\nA = ["1", "2"]',
    ],
)
def test_a_taxonomy_that_is_no_choice_is_refused(copy: Path, taxonomy: str):
    with pytest.raises(ArtifactError, match="not a valid taxonomy"):
        with_answer(copy, "{label}", taxonomy)


@pytest.mark.parametrize("answer", ["{verdict}", "{verdict}{label}", "{label}{other}", "{a}{a}"])
def test_an_answer_of_no_known_kind_is_refused(copy: Path, answer: str):
    with pytest.raises(ArtifactError):
        with_answer(copy, answer)


def test_without_the_end_of_turn_a_label_is_an_answer_that_begins_with_it(copy: Path):
    path = copy / "taxonomy.toml"
    path.write_text(path.read_text(encoding="utf-8").replace('zh = "股",', 'zh = "债券",'), encoding="utf-8")
    engine = with_answer(copy, "这条新闻属于：{label}", more="score_end = false")
    names = engine.question.labels.names
    *scores, alias = naive(engine, [*names, "股票市场"]).unbind(1)
    scores[1] = torch.logaddexp(scores[1], alias)  # of 股市
    assert len(engine.question.scorer.trie.sequences[0]) < len(engine.prompt.whole_answer(names[0]))
    expected = torch.softmax(torch.stack(scores, dim=1) / TEMPERATURE, dim=1)
    for answer, row in zip(engine.classify(TEXTS), expected.tolist(), strict=True):
        assert list(answer.probabilities.values()) == pytest.approx(row, abs=1e-4)


def test_without_the_end_of_turn_no_label_may_begin_another(copy: Path):
    with pytest.raises(ArtifactError, match=r"the tokens of 股 begin another label's; .* take it out"):
        with_answer(copy, "这条新闻属于：{label}", more="score_end = false")
