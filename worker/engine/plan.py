"""What a model takes in memory, computed from its config before any weight is loaded.

The shape comes from the architecture itself, built without storage, so that every decoder that
transformers knows is counted as it is.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from shared.errors import ArtifactError
from worker.engine.scoring import NODES_AT_ONCE

GIB = 2**30
CONTEXT = int(0.45 * GIB)  # what CUDA and its kernels take of a card before any tensor
RESERVE = int(0.35 * GIB)  # fragments of the allocator, workspaces of the matrix kernels
NF4_BLOCK, NF4_BLOCKS_PER_SCALE = 64, 256  # bitsandbytes, double quantisation
NF4_TABLES = 4 * (16 + 256 + 1)  # code, code of the scales, offset: for each matrix


@dataclass(frozen=True)
class Plan:
    """Memory of one model on one device, in bytes.

    Attributes:
        weights: on the device, with the scales of quantised matrices.
        host: the token embedding, where it is kept in the computer's memory.
        kv_per_token: keys and values of one token in all layers.
        prefix_tokens: length of the frozen prefix, whose keys and values stay on the device.
        generation_tokens: prompts and new tokens of all generations that may be under way at once; their
            keys and values stay while labels are scored.
        logits: scores over the vocabulary that a step holds at once.
        per_token: activations of one token in the widest layer of a step.
        keys_per_token: keys and values of one token in one layer, repeated for every head.
    """

    weights: int
    host: int
    kv_per_token: int
    prefix_tokens: int
    generation_tokens: int
    logits: int
    per_token: int
    keys_per_token: int

    def step(self, tokens: int) -> int:
        """What a packed step of so many tokens takes, above weights and prefix."""
        seen = self.prefix_tokens + tokens
        mask = 3 * tokens * seen  # bool, and as a 16-bit bias in the attention kernel
        return self.logits + tokens * self.per_token + seen * self.keys_per_token + mask

    @property
    def prefix(self) -> int:
        return self.prefix_tokens * self.kv_per_token

    @property
    def standing(self) -> int:
        """What is taken before the first step."""
        return self.weights + self.prefix + self.generations + RESERVE

    @property
    def generations(self) -> int:
        return self.generation_tokens * self.kv_per_token

    def step_tokens(self, free: int) -> int:
        """Most tokens of one step in `free` bytes; 0 when not even the weights fit."""
        low, high = 0, 1_000_000
        while low < high:
            middle = (low + high + 1) // 2
            fits = self.standing + self.step(middle) <= free
            low, high = (middle, high) if fits else (low, middle - 1)
        return low

    def table(self, free: int) -> str:
        """The plan for an operator's eyes, a line for each part."""
        parts = [
            ("weights on the device", _gib(self.weights)),
            ("embedding in host memory", _gib(self.host)),
            ("keys and values per token", f"{self.kv_per_token / 1024:.3g} KiB"),
            (f"frozen prefix of {self.prefix_tokens} tokens", _gib(self.prefix)),
            (f"generations of {self.generation_tokens:,} tokens", _gib(self.generations)),
            ("reserve", _gib(RESERVE)),
            ("step of 1,000 tokens", _gib(self.step(1000))),
            ("free memory of the device", _gib(free)),
            ("tokens in one step, at most", f"{self.step_tokens(free):,}"),
        ]
        return "\n".join(f"{name:<34}{value:>12}" for name, value in parts)


def make_plan(
    config: Any,
    quantization: str,
    *,
    gpu: bool,
    embedding_on_host: bool,
    prefix_tokens: int,
    batch_size: int,
    generation_tokens: int = 0,
    adapter_numbers: int = 0,
) -> Plan:
    """The plan of a model with this transformers config.

    Args:
        quantization: int8, nf4, bf16 or fp32, not auto.
        gpu: 16-bit arithmetic around quantised matrices, as on a GPU; else 32-bit, as on a CPU.
        embedding_on_host: see `embedding_goes_to_host`.
        generation_tokens: see Plan.
        adapter_numbers: numbers in a LoRA adapter, which stays beside quantised weights in 32 bit.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    number = 2 if quantization == "bf16" or (gpu and quantization != "fp32") else 4
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    tied = output.weight is embedding.weight
    as_they_are = {embedding} if _quantises_output(config, quantization, tied) else {embedding, output}
    matrices = [m for m in model.modules() if isinstance(m, nn.Linear) and m not in as_they_are]
    if quantization not in ("int8", "nf4"):
        matrices = []
    host = embedding.weight.numel() * number if embedding_on_host and not tied else 0
    parameters = sum(p.numel() for p in model.parameters())
    rest = parameters - sum(m.weight.numel() for m in matrices)
    heads, kv_heads, head = _attention(config)
    widest = max(m.out_features for m in model.base_model.modules() if isinstance(m, nn.Linear))
    hidden = embedding.weight.shape[1]
    quantised = sum(_quantised(m, quantization) for m in matrices)
    beside = 4 * adapter_numbers if matrices else 0
    return Plan(
        weights=rest * number - host + quantised + beside + _buffers(model),
        host=host,
        kv_per_token=2 * config.num_hidden_layers * kv_heads * head * number,
        prefix_tokens=prefix_tokens,
        generation_tokens=generation_tokens,
        logits=batch_size * NODES_AT_ONCE * embedding.weight.shape[0] * (number + 8),
        # int8 products are summed in 32 bit before they become numbers again
        per_token=widest * (4 * number + (8 if quantization == "int8" else 0)) + 6 * hidden * number,
        keys_per_token=2 * heads * head * number,
    )


def embedding_goes_to_host(asked: str, quantization: str, tied: bool, gpu: bool) -> bool:
    """Whether the token embedding is kept in the computer's memory (WIREDESK_EMBEDDING_DEVICE)."""
    return gpu and not tied and (asked == "cpu" or quantization in ("int8", "nf4"))


def read_config(folder: Path) -> Any:
    """config.json of a model folder.

    Raises:
        ArtifactError: it is missing, or no architecture that transformers knows.
    """
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / 'config.json'} cannot be read as a model's shape: {error}") from error


def _attention(config: Any) -> tuple[int, int, int]:
    """Heads, heads of keys and values, numbers in a head."""
    heads: int = config.num_attention_heads
    kv_heads: int = getattr(config, "num_key_value_heads", None) or heads
    return heads, kv_heads, getattr(config, "head_dim", None) or config.hidden_size // heads


def _quantises_output(config: Any, quantization: str, tied: bool) -> bool:
    """As `model.load_model` does it; weights that are stored quantised say it themselves."""
    stored = getattr(config, "quantization_config", None)
    skipped = stored.get("llm_int8_skip_modules") if stored else []
    return quantization == "int8" and not tied and skipped == []


def _quantised(matrix: nn.Linear, quantization: str) -> int:
    """Bytes of a quantised matrix and its scales (its bias stays as it is)."""
    numbers = matrix.weight.numel()
    if quantization == "int8":
        return numbers + 4 * matrix.out_features
    blocks = -(-numbers // NF4_BLOCK)
    return -(-numbers // 2) + blocks + 4 * -(-blocks // NF4_BLOCKS_PER_SCALE) + NF4_TABLES


def _buffers(model: Any) -> int:
    return sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
