"""A model whose attention does not honour the packed mask is refused at the start."""

import pytest
import torch

from shared.errors import ArtifactError
from tests.engine.tiny import TEMPLATE, tiny_model, tiny_tokenizer
from worker.engine import self_check
from worker.engine.packing import Asked, Branch, pack
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Prompt
from worker.engine.scoring import PackedScorer
from worker.engine.transformers_engine import TransformersEngine
from worker.engine.trie import build_trie

PROMPT = Prompt(TEMPLATE, tiny_tokenizer())
SEQUENCES = [PROMPT.label_sequence(name) for name in ("货币政策", "股市", "股", "其他")]


def make(kind: type[PackedScorer], model=None, sequences=SEQUENCES) -> PackedScorer:
    model = model or tiny_model()
    return kind(model, build_trie(sequences), FrozenPrefix(model, PROMPT.head))


class Blind(PackedScorer):
    """Every token sees every other: what an attention that drops the mask does."""

    def _forward(self, packed):
        packed.mask.fill_(True)
        return super()._forward(packed)


class Crossing(PackedScorer):
    """Texts see their neighbours before them; inside each text all is well."""

    def _forward(self, packed):
        length = packed.mask.shape[2]
        packed.mask[..., -length:] |= torch.ones(length, length, dtype=torch.bool).tril_(-40)
        return super()._forward(packed)


def test_the_self_check_measures_the_difference(engine: TransformersEngine):
    assert engine.check() < 1e-4


@pytest.mark.parametrize("scorer", [Blind, Crossing])
def test_a_mask_that_is_not_honoured_is_refused(scorer: type[PackedScorer]):
    with pytest.raises(ArtifactError, match="self-check failed"):
        self_check.check(make(scorer), PROMPT)


def test_an_attention_that_misreads_a_boolean_mask_is_refused():
    """Eager attention adds the mask to the scores: true and false become 1 and 0, and nothing is hidden."""
    eager = tiny_model(attn_implementation="eager")
    with pytest.raises(ArtifactError, match="self-check failed"):
        self_check.check(make(PackedScorer, eager), PROMPT)


def test_a_large_label_set_is_checked_by_a_sample():
    sequences = [[5 + n % 10, 20 + n // 10, PROMPT.end] for n in range(100)]
    assert self_check.check(make(PackedScorer, sequences=sequences), PROMPT) < 1e-4
    places = self_check._sample(100)
    assert (len(set(places)), places[0], places[-1]) == (16, 0, 99)


def test_the_packed_row_of_the_check_holds_several_texts_and_a_prefix():
    prompts = [PROMPT.item(text).ids + PROMPT.tail for text in self_check.TEXTS]
    scorer = make(PackedScorer)
    packed = pack([Asked(prompt, [Branch((), scorer.trie)]) for prompt in prompts], len(PROMPT.head))
    assert len(packed.nodes) == 3
    assert len({len(prompt) for prompt in prompts}) == 3
    assert packed.mask.shape[3] > packed.mask.shape[2]
