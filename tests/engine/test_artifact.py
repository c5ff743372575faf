"""A model folder that cannot be served is refused before the worker says that it is ready."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from shared.errors import ArtifactError
from tests.engine.conftest import load
from tests.engine.tiny import tiny_model
from worker.engine.artifact import open_artifact
from worker.engine.calibration import Scale
from worker.engine.model import load_model


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


def test_a_folder_that_is_not_there_says_what_to_set(tmp_path: Path):
    with pytest.raises(ArtifactError, match="WIREDESK_MODEL"):
        load(tmp_path / "nowhere")


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


def test_weights_that_lack_a_tensor_are_refused(copy: Path):
    """transformers fills the gap with random numbers and only warns."""
    tensors = load_file(copy / "model.safetensors")
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"the weights lack model\.layers\.1\.mlp\.up_proj\.weight"):
        load(copy)


def test_another_schema_is_refused(copy: Path):
    (copy / "manifest.json").write_text('{"schema": 2, "name": "x", "revision": "y"}')
    with pytest.raises(ArtifactError, match="schema 2 is unknown"):
        load(copy)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema": 2}',
        '{"schema": 1, "temperature": {"fp32": 0}}',
        '{"schema": 1, "x": 1}',
        '{"schema": 1, "bias": {"fp32": {"股市": NaN}}}',
        '{"schema": 1, "abstain": {"fp32": [{}]}}',
    ],
)
def test_a_calibration_that_cannot_be_read_is_refused(copy: Path, text: str):
    (copy / "calibration.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"calibration\.json"):
        load(copy)


def test_a_type_without_temperature_takes_that_of_fp32(copy: Path):
    text = '{"schema": 1, "temperature": {"fp32": 0.9, "int8": 0.8}}'
    (copy / "calibration.json").write_text(text)
    calibration = open_artifact(copy).calibration
    assert [calibration.for_type(name).temperature for name in ("fp32", "bf16", "int8")] == [0.9, 0.9, 0.8]


def test_without_calibration_scores_stay_as_they_are(copy: Path):
    (copy / "calibration.json").unlink()
    assert open_artifact(copy).calibration.for_type("fp32") == Scale()


def test_a_tokenizer_without_chat_template_is_refused(copy: Path):
    (copy / "chat_template.jinja").unlink(missing_ok=True)
    change(copy / "tokenizer_config.json", chat_template=None)
    with pytest.raises(ArtifactError, match="chat template"):
        load(copy)


def test_duplicate_labels_are_refused(copy: Path):
    taxonomy = (copy / "taxonomy.toml").read_text(encoding="utf-8").replace('zh = "其他"', 'zh = "股市"')
    (copy / "taxonomy.toml").write_text(taxonomy, encoding="utf-8")
    with pytest.raises(ArtifactError, match="share the same zh"):
        load(copy)


def test_an_alias_that_is_another_label_is_refused(copy: Path):
    taxonomy = (copy / "taxonomy.toml").read_text(encoding="utf-8").replace('"股票市场"', '"其他"')
    (copy / "taxonomy.toml").write_text(taxonomy, encoding="utf-8")
    with pytest.raises(ArtifactError, match="same tokens"):
        load(copy)


def test_a_model_that_only_has_eager_attention_is_refused(copy: Path):
    config = json.loads((copy / "config.json").read_text())
    gpt = {"model_type": "gpt_neo", "architectures": ["GPTNeoForCausalLM"], "vocab_size": 600}
    shape = {
        "hidden_size": 32,
        "num_layers": 2,
        "attention_types": [[["global", "local"], 1]],
        "num_heads": 2,
    }
    (copy / "config.json").write_text(json.dumps({"dtype": config["dtype"], **gpt, **shape}))
    with pytest.raises(ArtifactError, match=r"sdpa|scaled_dot_product_attention"):
        load(copy)


def test_a_model_with_sliding_attention_is_refused(copy: Path):
    tiny_model(use_sliding_window=True, sliding_window=8, max_window_layers=1).save_pretrained(copy)
    with pytest.raises(ArtifactError, match="sliding_attention cannot be scored packed"):
        load(copy)


def test_a_tokenizer_larger_than_the_model_is_refused(copy: Path):
    tiny_model(vocab_size=300).save_pretrained(copy)
    with pytest.raises(ArtifactError, match="do not belong together"):
        load(copy)


def test_items_longer_than_the_models_context_are_refused(copy: Path):
    change(copy / "config.json", max_position_embeddings=80)
    with pytest.raises(ArtifactError, match="WIREDESK_MAX_ITEM_TOKENS"):
        load(copy)


def test_weights_stored_in_8_bit_are_served_as_such(copy: Path):
    original = load(copy, quantization="int8")
    load_model(open_artifact(copy), "int8").save_pretrained(copy)
    stored = load(copy, quantization="auto")
    assert stored.describe().quantization == "int8"
    assert stored.classify(["央行下调利率"]) == original.classify(["央行下调利率"])
    with pytest.raises(ArtifactError, match="stored as int8 and cannot be served as fp32"):
        load(copy, quantization="fp32")


def test_code_in_the_folder_is_never_run(copy: Path):
    auto_map = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    change(copy / "config.json", model_type="evil", auto_map=auto_map)
    (copy / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(ArtifactError):
        load(copy)


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_answers_are_reused_only_while_model_prompt_and_settings_stay_the_same(copy: Path):
    before = load(copy).describe()
    assert load(copy).describe().digest("news") == before.digest("news") != before.digest("other news")
    assert load(copy, max_item_tokens=16).describe().digest("news") != before.digest("news")
    prompt = copy / "prompt.toml"
    prompt.write_text(prompt.read_text(encoding="utf-8") + "\n# edited by hand\n", encoding="utf-8")
    assert load(copy).describe().digest("news") != before.digest("news")
