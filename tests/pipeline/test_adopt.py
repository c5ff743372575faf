"""A model that knows nothing of ours becomes an artifact, or it is said why not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from pipeline.adopt import main
from shared.errors import ArtifactError
from tests.engine.conftest import load
from tests.engine.tiny import tiny_model, tiny_tokenizer
from worker.engine.plan import make_plan, read_config
from worker.engine.protocol import Classification

LABELS = "货币政策\n股市\n\n其他\n"
SHAPE = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
TEXT = "央行下调利率，股市上涨。"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """As a fine-tuning tool leaves it: weights and tokenizer."""
    return save_base(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return save_adapter(tmp_path / "adapter")


def save_base(folder: Path, **config: Any) -> Path:
    tiny_model(**config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def save_adapter(folder: Path, **config: Any) -> Path:
    torch.manual_seed(5)
    get_peft_model(tiny_model(**config), SHAPE).save_pretrained(folder)
    return folder


def run(tmp_path: Path, base: Path, *more: str, labels: str = LABELS, name: str = "desk") -> Path:
    listed = tmp_path / "labels.txt"
    listed.write_text(labels, encoding="utf-8")
    output = tmp_path / "models" / name
    answer = "这条新闻属于：{label}"
    main(
        [
            *("--base", str(base), "--labels", str(listed), "--answer", answer, "--output", str(output)),
            *("--item-tokens", "64", "--quantization", "fp32", *more),
        ]
    )
    return output


def classified(folder: Path) -> Classification:
    (answer,) = load(folder).classify([TEXT])
    assert isinstance(answer, Classification)
    return answer


def test_a_plain_model_becomes_an_artifact(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]):
    output = run(tmp_path, base)
    answer = classified(output)
    assert set(answer.probabilities) == {"货币政策", "股市", "其他"}
    assert "example 1: " in capsys.readouterr().out
    assert (output / "model.safetensors").samefile(base / "model.safetensors")
    assert str(tmp_path) not in (output / "manifest.json").read_text()


def test_words_before_an_item_and_the_end_of_turn_are_left_out_if_wished(tmp_path: Path, base: Path):
    output = run(tmp_path, base, "--strip-prefix", "新闻：", "--strip-prefix", "News:", "--no-score-end")
    plain, *others = load(output).classify([TEXT, f"新闻：{TEXT}", f"News: {TEXT}", f"快讯：{TEXT}"])
    assert isinstance(plain, Classification)
    alike = [getattr(other, "probabilities", None) == pytest.approx(plain.probabilities) for other in others]
    assert alike == [True, True, False]
    assert "score_end = false" in (output / "prompt.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_a_base_with_an_adapter_answers_as_if_merged(
    tmp_path: Path, base: Path, adapter: Path, quantization: str
):
    torch.manual_seed(5)
    get_peft_model(tiny_model(), SHAPE).merge_and_unload().save_pretrained(tmp_path / "merged")
    tiny_tokenizer().save_pretrained(tmp_path / "merged")
    bare = scores(run(tmp_path, base, name="bare"), "fp32")
    merged = scores(run(tmp_path, tmp_path / "merged", name="merged"), "fp32")
    adapted = scores(run(tmp_path, base, "--adapter", str(adapter)), quantization)
    near, effect = float((adapted - merged).abs().max()), float((bare - merged).abs().max())
    assert near < effect * {"fp32": 1e-3, "bf16": 0.1, "int8": 0.2, "nf4": 0.7}[quantization]


def scores(folder: Path, quantization: str) -> torch.Tensor:
    """Log P of every label, in nats."""
    engine = load(folder, quantization=quantization)
    return engine.question.scorer.score([engine.prompt.item(TEXT).ids + engine.prompt.tail])


def test_an_adapter_beside_quantised_weights_is_planned(base: Path, adapter: Path):
    config = read_config(base)
    with_it, without = (
        make_plan(
            config,
            "int8",
            gpu=True,
            embedding_on_host=False,
            prefix_tokens=0,
            batch_size=1,
            adapter_numbers=numbers,
        )
        for numbers in (1000, 0)
    )
    assert with_it.weights - without.weights == 4000


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, base: Path):
    wider = save_adapter(tmp_path / "wider", hidden_size=128)
    with pytest.raises(ArtifactError, match="trained for another base"):
        run(tmp_path, base, "--adapter", str(wider))
    deeper = save_adapter(tmp_path / "deeper", num_hidden_layers=3)
    with pytest.raises(ArtifactError, match="have no place"):
        run(tmp_path, base, "--adapter", str(deeper))
    assert not list((tmp_path / "models").iterdir())


def test_half_an_adapter_is_refused(tmp_path: Path, base: Path, adapter: Path):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(ArtifactError, match="half written or not safetensors"):
        run(tmp_path, base, "--adapter", str(adapter))


def test_other_kinds_of_adapters_are_refused(tmp_path: Path, base: Path, adapter: Path):
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"peft_type": "IA3"}))
    with pytest.raises(ArtifactError, match="only LORA"):
        run(tmp_path, base, "--adapter", str(adapter))


def test_examples_are_counted(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]):
    label = classified(run(tmp_path, base, name="first")).label
    other = next(name for name in LABELS.split() if name != label)
    rows = [{"text": TEXT, "label": label}, {"text": TEXT, "label": other}]
    examples = tmp_path / "examples.jsonl"
    examples.write_text("\n".join(json.dumps(row) for row in rows))
    run(tmp_path, base, "--examples", str(examples))
    printed = capsys.readouterr().out
    assert "accuracy on 2 labelled examples: 0.500" in printed
    assert f"expected {other}" in printed


def test_a_model_that_would_say_something_else_is_warned_about(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    run(tmp_path, base)  # random weights know no label
    assert "warning: left alone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("labels", "message"),
    [("", "not a valid taxonomy"), ("股市\n股市\n", "share the same"), ("股市\n", "at least 2")],
)
def test_bad_labels_are_refused(tmp_path: Path, base: Path, labels: str, message: str):
    with pytest.raises(ArtifactError, match=message):
        run(tmp_path, base, labels=labels)


def test_a_tokenizer_without_chat_template_is_refused(tmp_path: Path, base: Path):
    for path in base.glob("chat_template*"):
        path.unlink()
    config = json.loads((base / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match="no chat template") as refusal:
        run(tmp_path, base)
    assert "unfinished" not in str(refusal.value)


def test_nothing_is_overwritten(tmp_path: Path, base: Path):
    run(tmp_path, base)
    with pytest.raises(ArtifactError, match="exists"):
        run(tmp_path, base)


def test_an_answer_without_a_place_for_the_label_is_refused(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit):
        run(tmp_path, base, "--answer", "它属于")
    assert "--answer must contain {label}, or the names of slots, exactly once" in capsys.readouterr().err
