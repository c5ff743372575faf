"""The memory plan, against models that were really loaded."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Qwen3Config

from tests.engine.tiny import tiny_model
from tests.services import ROOT
from worker.engine.artifact import open_artifact
from worker.engine.model import load_model
from worker.engine.plan import GIB, Plan, embedding_goes_to_host, make_plan, read_config

QWEN3_8B = {
    "vocab_size": 151936,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "tie_word_embeddings": False,
}


def plan_of(config: Any, quantization: str, **options: Any) -> Plan:
    usual = {"gpu": False, "embedding_on_host": False, "prefix_tokens": 0, "batch_size": 3}
    return make_plan(config, quantization, **(usual | options))


def tensors(module: Any) -> list[torch.Tensor]:
    """Parameters, buffers, and the scales that bitsandbytes keeps beside its matrices."""
    found = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    weight = getattr(module, "weight", None)
    found += [
        t
        for t in (getattr(weight, "SCB", None), getattr(getattr(module, "state", None), "SCB", None))
        if t is not None
    ]
    if state := getattr(weight, "quant_state", None):
        found += [state.absmax, state.code, state.state2.absmax, state.state2.code, state.offset]
    return found


def taken(model: Any) -> int:
    every = {t.data_ptr(): t.numel() * t.element_size() for m in model.modules() for t in tensors(m)}
    return sum(every.values())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("quantization", ["fp32", "bf16", "int8", "nf4"])
def test_the_planned_weights_are_those_that_are_loaded(copy: Path, quantization: str, tied: bool):
    tiny_model(tie_word_embeddings=tied, hidden_size=256, intermediate_size=512).save_pretrained(copy)
    real = taken(load_model(open_artifact(copy), quantization))  # a forward on a CPU unpacks NF4
    assert plan_of(read_config(copy), quantization).weights == pytest.approx(real, rel=0.05)


def test_qwen3_8b_in_8_bit_fits_a_card_of_10_gib():
    plan = plan_of(Qwen3Config(**QWEN3_8B), "int8", gpu=True, embedding_on_host=True, prefix_tokens=500)
    assert plan.weights / GIB == pytest.approx(7.05, abs=0.01)
    assert plan.host / GIB == pytest.approx(1.16, abs=0.01)
    assert plan.kv_per_token == 144 * 1024
    assert plan.step_tokens(int(9.55 * GIB)) > 3000


def test_the_token_budget_is_the_largest_that_fits():
    plan = plan_of(Qwen3Config(**QWEN3_8B), "nf4", gpu=True, embedding_on_host=True, prefix_tokens=500)
    free = 8 * GIB
    tokens = plan.step_tokens(free)
    assert plan.standing + plan.step(tokens) <= free < plan.standing + plan.step(tokens + 1)
    assert plan.step_tokens(plan.weights) == 0


def test_the_embedding_leaves_the_card_only_where_that_helps():
    assert embedding_goes_to_host("auto", "int8", tied=False, gpu=True)
    assert embedding_goes_to_host("cpu", "bf16", tied=False, gpu=True)
    assert not embedding_goes_to_host("auto", "bf16", tied=False, gpu=True)
    assert not embedding_goes_to_host("cpu", "int8", tied=True, gpu=True)
    assert not embedding_goes_to_host("cpu", "int8", tied=False, gpu=False)


def verify(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pipeline.verify", *arguments]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_plan_is_printed_without_loading(tmp_path: Path):
    config = QWEN3_8B | {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    fits = verify("--plan", str(tmp_path), "--gpu-memory", "10GiB")
    assert (fits.returncode, "7.05 GiB" in fits.stdout) == (0, True), fits.stderr
    small = verify("--plan", str(tmp_path), "--gpu-memory", "6GiB")
    assert (small.returncode, "does not fit" in small.stdout) == (1, True)


@pytest.mark.parametrize(
    ("memory", "message"), [("10", "write it like 10GiB"), ("10GiB", "config.json is missing")]
)
def test_what_cannot_be_planned_is_said(tmp_path: Path, memory: str, message: str):
    asked = verify("--plan", str(tmp_path), "--gpu-memory", memory)
    assert asked.returncode != 0
    assert message in asked.stderr
    assert "Traceback" not in asked.stderr


def test_the_table_has_figures_of_a_small_model_too() -> None:
    """It said 0 KiB for the keys and values of newsroom-mini's shape."""
    small = QWEN3_8B | {"num_hidden_layers": 2, "num_key_value_heads": 2, "head_dim": 32}
    assert "144 KiB" in plan_of(Qwen3Config(**QWEN3_8B), "int8", gpu=True).table(10 * GIB)
    assert " 0.5 KiB" in plan_of(Qwen3Config(**small), "int8", gpu=True).table(10 * GIB)
