"""Loads weights in the asked data type: safetensors only, no code from the folder, sdpa attention."""

import logging
import os
from pathlib import Path
from typing import Any

import torch

from shared.errors import ArtifactError

log = logging.getLogger(__name__)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenizer threads fight the model for cores

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def device() -> str:
    return "cuda:0" if torch.cuda.is_available() else "cpu"


def resolve(quantization: str) -> str:
    """`auto` is int8 on a GPU; on a CPU fp32, the fastest type that is faithful (bench/engine.py)."""
    if quantization != "auto":
        return quantization
    return "int8" if torch.cuda.is_available() else "fp32"


def load_model(folder: Path, quantization: str) -> Any:
    """The causal language model, in evaluation mode, whole on one device.

    Raises:
        ArtifactError: the folder's weights or configuration cannot be loaded.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            **_precision(quantization),
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ArtifactError(f"{folder} cannot be loaded as a causal language model: {error}") from error
    if model.config._attn_implementation != "sdpa":
        raise ArtifactError(f"{folder}: this model has no sdpa attention, which packed scoring needs")
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer, which must have a chat template.

    Raises:
        ArtifactError: it is missing, cannot be read, or has no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{folder}: the tokenizer cannot be loaded: {error}") from error
    if not tokenizer.chat_template:
        raise ArtifactError(f"{folder}: the tokenizer has no chat template, so no prompt can be built")
    return tokenizer


def memory_bytes(model: Any) -> int:
    """What the model takes on its device, in bytes."""
    if model.device.type == "cuda":
        return int(torch.cuda.memory_allocated(model.device))
    return int(model.get_memory_footprint())


def _precision(quantization: str) -> dict[str, Any]:
    placed = {"device_map": {"": 0}} if torch.cuda.is_available() else {}
    if quantization in DTYPES:
        return {"dtype": DTYPES[quantization], **placed}
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if quantization == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16 if torch.cuda.is_available() else torch.float32,
        )
    compute = torch.float16 if torch.cuda.is_available() else torch.float32
    return {"quantization_config": config, "dtype": compute, **placed}
