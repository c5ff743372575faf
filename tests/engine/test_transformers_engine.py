"""The real engine on a tiny artifact: right answers, clear refusals, damage kept to one text."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from shared.errors import ArtifactError, EmptyItem, EngineFailure
from shared.settings import Settings
from tests.engine.tiny import write_tiny_artifact
from worker.engine import model as model_module
from worker.engine import scoring, self_check
from worker.engine.loading import load_engine
from worker.engine.protocol import Classification
from worker.engine.scoring import score_naive
from worker.engine.transformers_engine import TransformersEngine

TEXTS = ["央行下调利率", "Oil prices rose", "股市上涨。" * 5]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_artifact(tmp_path_factory.mktemp("tiny") / "artifact")


@pytest.fixture(scope="module")
def engine(tiny: Path) -> TransformersEngine:
    return TransformersEngine.load(Settings(model=str(tiny), quantization="fp32", torch_threads=1))


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def load(folder: Path, **settings: object) -> TransformersEngine:
    return TransformersEngine.load(
        Settings(model=str(folder), quantization="fp32", torch_threads=1, **settings)
    )


def test_answers_are_labels_with_probabilities(engine: TransformersEngine):
    for answer in engine.classify(TEXTS):
        assert isinstance(answer, Classification)
        assert list(answer.probabilities) == ["货币政策", "股市", "股", "其他"]
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values())
        assert 0 <= answer.label_mass <= 1
        assert answer.answer == f"这条新闻属于：{answer.label}"


def test_a_text_gets_the_same_answer_alone_and_among_others(engine: TransformersEngine):
    together, alone = engine.classify(TEXTS), [engine.classify([text])[0] for text in TEXTS]
    for one, other in zip(together, alone, strict=True):
        assert list(one.probabilities.values()) == pytest.approx(list(other.probabilities.values()), abs=1e-4)


def test_probabilities_are_calibrated_naive_scores_with_aliases_folded(engine: TransformersEngine):
    prompt, labels = engine._prompt, engine._labels
    forms = score_naive(
        engine._model, prompt.head, [prompt.item(TEXTS[0]).ids + prompt.tail], labels.sequences
    )[0]
    policy, stocks, alias, stock, other = forms.tolist()
    folded = torch.tensor([policy, torch.logaddexp(torch.tensor(stocks), torch.tensor(alias)), stock, other])
    expected = torch.softmax(folded / 2.0, 0).tolist()  # calibration.json says 2.0
    (answer,) = engine.classify(TEXTS[:1])
    assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-4)
    assert answer.label_mass == pytest.approx(float(folded.exp().sum()), abs=1e-4)


def test_an_empty_text_fails_alone(engine: TransformersEngine):
    first, second = engine.classify([" \x00 ", TEXTS[0]])
    assert isinstance(first, EmptyItem)
    assert isinstance(second, Classification)


def test_truncation_is_told(engine: TransformersEngine):
    short, long = engine.classify(["央行", "央行" * 200])
    assert (short.truncated, long.truncated) == (False, True)


def test_the_item_limit_of_the_settings_applies_too(tiny: Path):
    (answer,) = load(tiny, max_item_tokens=16).classify(["央行下调利率，股市上涨。" * 3])
    assert answer.truncated


def test_a_hundred_kilobytes_of_text_are_cut_and_answered(engine: TransformersEngine):
    (answer,) = engine.classify(["央行下调利率。" * 5000])
    assert isinstance(answer, Classification)


def test_scores_that_are_no_numbers_fail_their_text(engine: TransformersEngine, tiny: Path):
    broken = load(tiny)
    with torch.no_grad():
        broken._model.model.norm.weight.fill_(float("nan"))
    (answer,) = broken.classify(TEXTS[:1])
    assert isinstance(answer, EngineFailure)


def test_running_out_of_memory_halves_the_step(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch):
    steps = []

    def small_device(model, prompts, trie, prefix):
        steps.append(len(prompts))
        if len(prompts) > 1 or len(prompts[0]) > 60:
            raise torch.OutOfMemoryError
        return scoring.score_packed(model, prompts, trie, prefix)

    monkeypatch.setattr("worker.engine.transformers_engine.score_packed", small_device)
    fine, too_long = engine.classify(["央行", "央行" * 200])
    assert steps == [2, 1, 1]
    assert isinstance(fine, Classification)
    assert isinstance(too_long, EngineFailure)
    assert "tokens" in str(too_long)


def test_a_mask_that_is_not_honoured_stops_the_start(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    honest = scoring.pack
    monkeypatch.setattr(scoring, "pack", lambda *args: blind_with(honest, *args))
    with pytest.raises(ArtifactError, match="self-check failed"):
        load(tiny)


def blind_with(honest, prompts, trie, prefix):
    """A packed row in which every token sees every other: what a backend that drops the mask does."""
    packed = honest(prompts, trie, prefix)
    packed.mask.fill_(True)
    return packed


def test_the_self_check_measures_the_difference(engine: TransformersEngine):
    assert engine.check() < 1e-4
    assert self_check.TOLERANCE == 0.02


@pytest.mark.parametrize("quantization", ["int8", "bf16", "nf4"])
def test_other_types_serve_on_a_cpu_too(tiny: Path, quantization: str):
    engine = TransformersEngine.load(Settings(model=str(tiny), quantization=quantization, torch_threads=1))
    assert engine.describe().quantization == quantization
    assert all(isinstance(answer, Classification) for answer in engine.classify(TEXTS))


def test_auto_is_fp32_on_a_cpu():
    assert model_module.resolve("auto") == ("int8" if torch.cuda.is_available() else "fp32")


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("manifest.json", "half written"),
        ("model.safetensors", "lacks weights: model.safetensors"),
        ("taxonomy.toml", "taxonomy.toml is missing"),
        ("prompt.toml", "prompt.toml is missing"),
        ("config.json", "config.json is missing"),
        ("tokenizer.json", "tokenizer"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused(copy: Path, missing: str, says: str):
    (copy / missing).unlink()
    with pytest.raises(ArtifactError, match=says):
        load(copy)


def test_a_missing_shard_is_named(copy: Path):
    index = {"weight_map": {"a": "model-00001.safetensors", "b": "model-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    (copy / "model.safetensors").rename(copy / "model-00001.safetensors")
    with pytest.raises(ArtifactError, match=r"lacks weights: model-00002\.safetensors"):
        load(copy)


def test_pickled_weights_are_refused(copy: Path):
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ArtifactError, match="pickled"):
        load(copy)


def test_damaged_weights_are_refused(copy: Path):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load(copy)


def test_another_schema_is_refused(copy: Path):
    (copy / "manifest.json").write_text('{"schema": 2, "name": "x", "revision": "y"}')
    with pytest.raises(ArtifactError, match="schema 2 is unknown"):
        load(copy)


def test_a_tokenizer_without_chat_template_is_refused(copy: Path):
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="chat template"):
        load(copy)


def test_a_folder_that_is_not_there_says_what_to_set(tmp_path: Path):
    with pytest.raises(ArtifactError, match="WIREDESK_MODEL"):
        load(tmp_path / "nowhere")


def test_duplicate_labels_are_refused(copy: Path):
    taxonomy = (copy / "taxonomy.toml").read_text(encoding="utf-8").replace('zh = "其他"', 'zh = "股市"')
    (copy / "taxonomy.toml").write_text(taxonomy, encoding="utf-8")
    with pytest.raises(ArtifactError, match="share the same zh"):
        load(copy)


def test_code_in_the_folder_is_never_run(copy: Path):
    config = json.loads((copy / "config.json").read_text()) | {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(ArtifactError):
        load(copy)


def test_the_stand_in_is_served_only_by_name(tiny: Path):
    standin = load_engine(Settings(model="standin", standin_seconds=0))
    first, again = standin.classify(["央行降准"]), standin.classify(["央行降准"])
    assert first == again
    assert sum(first[0].probabilities.values()) == pytest.approx(1)
    assert isinstance(load_engine(Settings(model=str(tiny), quantization="fp32")), TransformersEngine)
