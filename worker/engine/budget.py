"""How many tokens one step may hold: the memory plan against the memory that is free, said at the start."""

import logging

import torch

from shared.errors import ArtifactError
from shared.settings import Settings
from worker.engine.adapter import count_numbers
from worker.engine.artifact import Artifact
from worker.engine.labels import AnyLabels
from worker.engine.memory import free_memory
from worker.engine.plan import GIB, embedding_goes_to_host, make_plan, read_config
from worker.engine.prompt import Prompt
from worker.engine.question_prompt import QuestionPrompt

log = logging.getLogger(__name__)

# Tokens of one packed forward, whose attention grows with the square. A GPU gains by larger forwards;
# on a CPU longer rows are slower than two forwards (docs/decisions/packing.md).
ROW_TOKENS = {"cpu": 512, "cuda": 8192}


def _kept_for_questions(artifact: Artifact, prompt: Prompt) -> int:
    """Their own head, and the item whose keys and values are kept while its questions take several rows."""
    if not artifact.template.zero_shot:
        return 0
    head = QuestionPrompt(artifact.template, prompt.tokenizer, prompt.item_tokens).head
    return len(head) + prompt.item_tokens


def step_budget(
    artifact: Artifact, config: Settings, quantization: str, prompt: Prompt, labels: AnyLabels
) -> int:
    """Tokens of one packed forward. Called before the weights are loaded.

    Raises:
        ArtifactError: the weights, or an item of the allowed length, do not fit the free memory.
    """
    gpu = torch.cuda.is_available()
    on_host = embedding_goes_to_host(config.embedding_device, quantization, artifact.tied, gpu)
    plan = make_plan(
        read_config(artifact.folder),
        quantization,
        gpu=gpu,
        embedding_on_host=on_host,
        prefix_tokens=len(prompt.head) + _kept_for_questions(artifact, prompt),
        batch_size=config.batch_size,
        generation_tokens=config.batch_size * (config.max_prompt_tokens + config.max_new_tokens),
        adapter_numbers=count_numbers(artifact.adapter) if artifact.adapter else 0,
    )
    free = free_memory(gpu) - (config.label_cache_bytes if artifact.template.zero_shot else 0)
    log.info("memory plan of %s in %s:\n%s", artifact.name, quantization, plan.table(free))
    fits = plan.step_tokens(free)
    if not fits:
        raise ArtifactError(
            f"{artifact.name} in {quantization} takes {plan.standing / GIB:.2f} GiB before its first step, "
            f"but {free / GIB:.2f} GiB are free; set WIREDESK_QUANTIZATION to int8 or nf4, lower "
            "WIREDESK_MAX_PROMPT_TOKENS, or end what else uses the device"
        )
    beside = len(prompt.tail) + labels.trie.size
    longest = prompt.item_tokens + beside
    if fits < longest:
        raise ArtifactError(
            f"a step of {artifact.name} can hold {fits} tokens in the free memory, but an item with the "
            f"labels may take {longest}; set WIREDESK_MAX_ITEM_TOKENS to {max(fits - beside, 0)} or less"
        )
    return min(fits, ROW_TOKENS["cuda" if gpu else "cpu"])
