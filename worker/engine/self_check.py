"""Before serving: packed scores must equal naive ones, or the model is refused.

Guards against an attention implementation that ignores or misreads the packed mask, which would
answer wrongly without any error.
"""

import torch

from shared.errors import ArtifactError
from worker.engine.labels import LabelSet
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Prompt
from worker.engine.scoring import score_naive, score_packed

TEXTS = ("央行宣布下调存款准备金率0.5个百分点。", "Oil prices rose after OPEC agreed to cut output.", "今天")
TOLERANCE = 0.02  # of a probability; int8 differs by up to .008 with the make-up of a batch


def check(model: object, prompt: Prompt, labels: LabelSet, prefix: FrozenPrefix) -> float:
    """The largest difference in probability between packed and naive scoring of a few texts.

    Raises:
        ArtifactError: it is above TOLERANCE, not a number, or another label wins.
    """
    prompts = [prompt.item(text).ids + prompt.tail for text in TEXTS]
    packed, _ = labels.probabilities(score_packed(model, prompts, labels.trie, prefix), 1.0)
    naive, _ = labels.probabilities(score_naive(model, prompt.head, prompts, labels.sequences), 1.0)
    difference = float((packed - naive).abs().max())
    same = bool((packed.argmax(1) == naive.argmax(1)).all() or _near_tie(naive))
    if not (difference <= TOLERANCE and same and torch.isfinite(packed).all()):
        raise ArtifactError(
            f"self-check failed: packed and plain scores differ by {difference:.3f}, more than {TOLERANCE}; "
            "the model's attention does not honour the packed mask, so its answers would be wrong"
        )
    return difference


def _near_tie(probabilities: torch.Tensor) -> bool:
    """Whether some text's two best labels are closer than the tolerance: then either may win."""
    best = probabilities.topk(2, dim=1).values
    return bool((best[:, 0] - best[:, 1] < TOLERANCE).any())
