"""The memory of the device: what a model takes, and what to do when it runs out."""

import gc
from typing import Any

import psutil
import torch

_SIGNS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def memory_bytes(model: Any) -> int:
    """What the model takes on its device, in bytes."""
    if model.device.type == "cuda":
        return int(torch.cuda.memory_allocated(model.device))
    return int(model.get_memory_footprint())


def free_memory(gpu: bool) -> int:
    """Bytes that can still be taken of the GPU, or of the computer's memory."""
    if gpu:
        return torch.cuda.mem_get_info()[0]
    return int(psutil.virtual_memory().available)


def ran_out(error: Exception) -> bool:
    """Whether a forward failed for want of memory: CUDA has an exception for it, the CPU and cuBLAS don't."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def release() -> None:
    """Give unused blocks back. Call it outside the except block, whose exception holds the tensors."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
