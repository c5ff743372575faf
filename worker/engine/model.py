"""Loads weights in the asked data type: safetensors only, no code from the folder, sdpa attention."""

import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils.logging import disable_progress_bar

from shared.errors import ArtifactError
from worker.engine.adapter import add_adapter
from worker.engine.artifact import Artifact
from worker.engine.host_embedding import move_embedding_to_host
from worker.engine.memory import release
from worker.engine.output_layer import speed_up_output
from worker.engine.plan import embedding_goes_to_host

disable_progress_bar()  # a log is no terminal
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # tokenizer threads fight the model for cores

NF4_BLOCK = 64  # weights that share a scale
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError)


def resolve(quantization: str, stored_type: str | None = None) -> str:
    """The data type that `auto` means: int8 on a GPU; on a CPU fp32, the fastest faithful one (docs/log.md).

    Raises:
        ArtifactError: the weights are stored in another type than the one asked for.
    """
    if stored_type and quantization not in ("auto", stored_type):
        raise ArtifactError(
            f"the weights are stored as {stored_type} and cannot be served as {quantization}; "
            f"set WIREDESK_QUANTIZATION to auto or {stored_type}"
        )
    if quantization != "auto":
        return quantization
    return stored_type or ("int8" if torch.cuda.is_available() else "fp32")


def load_model(
    artifact: Artifact, quantization: str, embedding_device: str = "auto", int8_threshold: float = 6.0
) -> Any:
    """The causal language model, in evaluation mode, whole on one device.

    Args:
        embedding_device, int8_threshold: see the settings of these names.

    Raises:
        ArtifactError: the folder's weights or configuration cannot be served.
    """
    folder = artifact.folder
    try:
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **_precision(quantization, artifact),
        )
    except UNREADABLE as error:
        raise ArtifactError(f"{folder} cannot be loaded as a causal language model: {error}") from error
    if report["missing_keys"]:  # transformers would serve random numbers in their place
        raise ArtifactError(f"{folder}: the weights lack {', '.join(sorted(report['missing_keys'])[:3])}")
    _check_attention(folder, model.config)
    _check_widths(folder, model)
    if artifact.adapter:
        model = add_adapter(model, artifact.adapter, merge=quantization in DTYPES)
    if quantization == "int8":
        _set_threshold(model, int8_threshold)
    gpu = model.device.type == "cuda"
    if embedding_goes_to_host(embedding_device, quantization, artifact.tied, gpu):
        move_embedding_to_host(model)
        release()
    speed_up_output(model)
    return model.eval()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer, which must have a chat template.

    Raises:
        ArtifactError: it is missing, cannot be read, or has no chat template.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except UNREADABLE as error:
        raise ArtifactError(f"{folder}: the tokenizer cannot be loaded: {error}") from error
    if not tokenizer.chat_template:
        raise ArtifactError(f"{folder}: the tokenizer has no chat template, so no prompt can be built")
    return tokenizer


def _set_threshold(model: Any, threshold: float) -> None:
    """On the layers themselves: weights that are stored quantised ignore the one of the configuration."""
    from bitsandbytes.nn import Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear8bitLt):
            module.state.threshold = threshold


def outlier_threshold(model: Any) -> float:
    """The one in force; 0 where no layer is in 8 bit."""
    if getattr(model, "quantization_method", None) is None:
        return 0.0
    from bitsandbytes.nn import Linear8bitLt

    found = (module.state.threshold for module in model.modules() if isinstance(module, Linear8bitLt))
    return float(next(found, 0.0))


def _check_attention(folder: Path, config: Any) -> None:
    """Packing needs an attention that reads a boolean mask over the whole row."""
    if config._attn_implementation != "sdpa":
        raise ArtifactError(f"{folder}: this model has no sdpa attention, which packed scoring needs")
    others = set(getattr(config, "layer_types", None) or ()) - {"full_attention"}
    if others:
        raise ArtifactError(f"{folder}: layers with {', '.join(sorted(others))} cannot be scored packed")


def _check_widths(folder: Path, model: Any) -> None:
    """On a CPU, NF4 is computed in blocks that no row of weights may share with the next."""
    if model.device.type != "cpu" or getattr(model, "quantization_method", None) is None:
        return
    from bitsandbytes.nn import Linear4bit

    widths = {module.in_features for module in model.modules() if isinstance(module, Linear4bit)}
    wrong = sorted(width for width in widths if width % NF4_BLOCK)
    if wrong:
        raise ArtifactError(
            f"{folder}: NF4 on a CPU takes layers whose width is a multiple of {NF4_BLOCK}, and this model "
            f"has {', '.join(map(str, wrong))}; set WIREDESK_QUANTIZATION to int8, bf16 or fp32"
        )


def _precision(quantization: str, artifact: Artifact) -> dict[str, Any]:
    gpu = torch.cuda.is_available()
    placed = {"device_map": {"": 0}} if gpu else {}  # "auto" would spill weights to the CPU
    if quantization in DTYPES:
        return {"dtype": DTYPES[quantization], **placed}
    compute = torch.float16 if gpu else torch.float32
    if artifact.stored_type:
        return {"dtype": compute, **placed}
    config = _bits_and_bytes(quantization, compute, artifact.tied)
    return {"quantization_config": config, "dtype": compute, **placed}


def _bits_and_bytes(quantization: str, compute: torch.dtype, tied: bool) -> BitsAndBytesConfig:
    if quantization == "int8":
        # By default the output layer stays in 16 bit: 1.2 GB for Qwen3-8B. Tied to the embedding, it must.
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=None if tied else [])
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
