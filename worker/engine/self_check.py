"""Before serving: packed scores must equal naive ones, or the model is refused.

Guards against an attention implementation that ignores or misreads the packed mask, which would
answer wrongly without any error.
"""

from typing import Any

import torch

from shared.errors import ArtifactError
from shared.questions import Option, Question
from worker.engine.branches import BranchScorer
from worker.engine.interview import Interview
from worker.engine.packing import Asked
from worker.engine.prompt import Prompt
from worker.engine.scoring import PackedScorer, score_naive

TEXTS = ("央行宣布下调存款准备金率0.5个百分点。", "Oil prices rose after OPEC agreed to cut output.", "今天")
QUESTIONS = (
    Question("predicate", "The text is about interest rates."),
    Question("choice", "What is it about?", (Option("money"), Option("oil"))),
    Question("score", "How urgent is it?", (Option("can wait"), Option("today"))),
)
SAMPLE = 16  # sequences compared: naive scoring takes a forward for each
TOLERANCE = 0.02  # of a probability; int8 differs by up to .008 with the make-up of a batch
LOG_TOLERANCE = 0.01  # of a log-probability in fp32, where both ways compute the same to about 1e-4


def check(scorer: PackedScorer, prompt: Prompt) -> float:
    """The largest difference in probability between packed and naive scoring of a few texts.

    Of a large label set a sample is compared, which both the packed row and its mask still hold whole.

    Raises:
        ArtifactError: the difference is above the tolerance or not a number, or another label wins.
    """
    prompts = [prompt.item(text).ids + prompt.tail for text in TEXTS]
    sample = _sample(len(scorer.trie.sequences))
    packed = scorer.score(prompts)[:, sample]
    naive = score_naive(scorer.model, scorer.prefix.ids, prompts, [scorer.trie.sequences[n] for n in sample])
    return _compare(packed, naive, scorer.model)


def check_branches(scorer: BranchScorer, interview: Interview) -> float:
    """The same for questions, each of which is a branch beside the others.

    Raises:
        ArtifactError: as `check`; or a question cannot be put to this model at all.
    """
    branches = [interview.branch(question)[0] for question in QUESTIONS]
    asked = [Asked(interview.prompt.item(text).ids, branches) for text in TEXTS]
    differences = []
    for one, scores in zip(asked, scorer.score(asked), strict=True):
        for branch, packed in zip(branches, scores, strict=True):
            whole, sequences = [[*one.item, *branch.tail]], branch.trie.sequences
            naive = score_naive(scorer.model, scorer.prefix.ids, whole, sequences)
            differences.append(_compare(naive if packed is None else packed[None], naive, scorer.model))
    return max(differences)


def _compare(packed: torch.Tensor, naive: torch.Tensor, model: Any) -> float:
    chances, expected = packed.softmax(1), naive.softmax(1)
    difference = float((chances - expected).abs().max())
    log_difference = float((packed - naive).abs().max())
    close = difference <= TOLERANCE and (log_difference <= LOG_TOLERANCE or not _exact(model))
    if not (close and _same_winners(chances, expected)):
        raise ArtifactError(
            f"self-check failed: packed and plain scores differ by {difference:.3f} in probability and "
            f"{log_difference:.3f} in log-probability; the model's attention does not honour the packed "
            "mask, so its answers would be wrong"
        )
    return difference


def _sample(count: int) -> list[int]:
    """Up to SAMPLE places, evenly spread, the first and the last among them."""
    if count <= SAMPLE:
        return list(range(count))
    return [round(n * (count - 1) / (SAMPLE - 1)) for n in range(SAMPLE)]


def _exact(model: Any) -> bool:
    return model.dtype == torch.float32 and not getattr(model, "is_quantized", False)


def _same_winners(packed: torch.Tensor, naive: torch.Tensor) -> bool:
    """The same sequence wins for each text, ties within the tolerance apart."""
    best = packed.argmax(1, keepdim=True)
    return bool((naive.max(1, keepdim=True).values - naive.gather(1, best) < TOLERANCE).all())
