"""A tiny Qwen3 with random weights and a tokenizer of its own, made in a second."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from pipeline.publish import write_json
from pipeline.recipe import TokenizerRecipe
from pipeline.tokenizer import train_tokenizer
from worker.engine.prompt_template import PromptTemplate

TEMPLATE = PromptTemplate(
    system="你给新闻分类。Classify the news.",
    user="请判断类别：{item}",
    answer="这条新闻属于：{label}",
    strip_prefixes=("请分析新闻类别：",),
    item_tokens=64,
)
TEXTS = [
    "央行下调利率，股市上涨。",
    "Oil prices rose 3% as OPEC cut output",
    "货币政策 股市 债券 公司 其他",
    "今天天气很好",
]
TAXONOMY = """\
name = "tiny"
labels = [
  {id = "policy", zh = "货币政策", en = "Policy"},
  {id = "stocks", zh = "股市", en = "Stocks", aliases = ["股票市场"]},
  {id = "stock", zh = "股", en = "Stock"},
  {id = "other", zh = "其他", en = "Other"},
]
"""


@cache
def tiny_tokenizer() -> Any:
    return train_tokenizer(TEXTS * 5, TokenizerRecipe(vocabulary=600, longest_piece=8))


def tiny_model(seed: int = 0, **config: Any) -> Any:
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "initializer_range": 0.3,  # large, so that the scores differ much
        "max_position_embeddings": 1024,
        "eos_token_id": tokenizer.eos_token_id,
        "attn_implementation": "sdpa",
    }
    return Qwen3ForCausalLM(Qwen3Config(**(shape | config))).eval()


def write_tiny_artifact(folder: Path, **config: Any) -> Path:
    """A whole artifact with random weights; `config` changes the shape of the model."""
    tiny_model(**config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    (folder / "taxonomy.toml").write_text(TAXONOMY, encoding="utf-8")
    lines = [
        f'system = "{TEMPLATE.system}"',
        f'user = "{TEMPLATE.user}"',
        f'answer = "{TEMPLATE.answer}"',
        'strip_prefixes = ["请分析新闻类别："]',
        "item_tokens = 64",
    ]
    (folder / "prompt.toml").write_text("\n".join(lines), encoding="utf-8")
    write_json(folder / "calibration.json", {"schema": 1, "temperature": {"fp32": 2.0}})
    write_json(folder / "manifest.json", {"schema": 1, "name": "tiny", "revision": "r1"})
    return folder
