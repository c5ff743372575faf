"""Before serving: packed scores must equal naive ones, or the model is refused.

Guards against an attention implementation that ignores or misreads the packed mask, which would
answer wrongly without any error.
"""

from typing import Any

import torch

from shared.errors import ArtifactError
from worker.engine.labels import LabelSet
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Prompt
from worker.engine.scoring import score_naive, score_packed

TEXTS = ("央行宣布下调存款准备金率0.5个百分点。", "Oil prices rose after OPEC agreed to cut output.", "今天")
TOLERANCE = 0.02  # of a probability; int8 differs by up to .008 with the make-up of a batch
LOG_TOLERANCE = 0.01  # of a log-probability in fp32, where both ways compute the same to about 1e-4


def check(model: Any, prompt: Prompt, labels: LabelSet, prefix: FrozenPrefix) -> float:
    """The largest difference in probability between packed and naive scoring of a few texts.

    Raises:
        ArtifactError: the difference is above the tolerance or not a number, or another label wins.
    """
    prompts = [prompt.item(text).ids + prompt.tail for text in TEXTS]
    packed_scores = score_packed(model, prompts, labels.trie, prefix)
    naive_scores = score_naive(model, prompt.head, prompts, labels.sequences)
    packed, _ = labels.probabilities(packed_scores, 1.0)
    naive, _ = labels.probabilities(naive_scores, 1.0)
    difference = float((packed - naive).abs().max())
    log_difference = float((packed_scores - naive_scores).abs().max())
    exact = model.dtype == torch.float32 and not getattr(model, "is_quantized", False)
    close = difference <= TOLERANCE and (log_difference <= LOG_TOLERANCE or not exact)
    if not (close and _same_winners(packed, naive)):
        raise ArtifactError(
            f"self-check failed: packed and plain scores differ by {difference:.3f} in probability and "
            f"{log_difference:.3f} in log-probability; the model's attention does not honour the packed "
            "mask, so its answers would be wrong"
        )
    return difference


def _same_winners(packed: torch.Tensor, naive: torch.Tensor) -> bool:
    """The same label wins for each text, ties within the tolerance apart."""
    best = packed.argmax(1, keepdim=True)
    return bool((naive.max(1, keepdim=True).values - naive.gather(1, best) < TOLERANCE).all())
