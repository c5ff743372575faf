"""Packed scores equal naive ones, whatever the labels and texts."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.tiny import tiny_model
from worker.engine.prefix import FrozenPrefix
from worker.engine.scoring import PackedScorer, score_naive
from worker.engine.trie import build_trie

END = 2
MODEL = tiny_model()
token = st.integers(5, 255)
label = st.lists(st.integers(5, 12), min_size=1, max_size=4).map(tuple)  # few tokens: many shared prefixes
label_sets = st.sets(label, min_size=2, max_size=8).map(
    lambda labels: [[*name, END] for name in sorted(labels)]
)
prompt_sets = st.lists(st.lists(token, min_size=1, max_size=40), min_size=1, max_size=4)


def scorer_of(head, sequences) -> PackedScorer:
    return PackedScorer(MODEL, build_trie(sequences), FrozenPrefix(MODEL, head))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(head=st.lists(token, max_size=12), prompts=prompt_sets, sequences=label_sets)
def test_packed_scores_equal_naive_scores(head, prompts, sequences):
    packed = scorer_of(head, sequences).score(prompts)
    naive = score_naive(MODEL, head, prompts, sequences)
    assert packed.shape == (len(prompts), len(sequences))
    assert torch.allclose(packed, naive, atol=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    head=st.lists(token, max_size=12),
    prompts=prompt_sets,
    sequences=st.lists(st.tuples(token), min_size=1, max_size=8, unique=True),
)
def test_labels_of_one_token_need_nothing_behind_the_prompt(head, prompts, sequences):
    scorer = scorer_of(head, sequences)
    assert scorer.cost(prompts[0]) == len(prompts[0])
    assert torch.allclose(scorer.score(prompts), score_naive(MODEL, head, prompts, sequences), atol=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(sequences=label_sets)
def test_label_probabilities_sum_to_at_most_one(sequences):
    scores = scorer_of([5, 6], sequences).score([[7, 8, 9]])
    assert float(scores.exp().sum()) <= 1 + 1e-5


@settings(max_examples=20, deadline=None, derandomize=True)
@given(prompts=prompt_sets)
def test_neighbours_in_a_row_change_nothing(prompts):
    scorer = scorer_of([5, 6, 7], [[9, END], [10, 11, END], [10, END]])
    together = scorer.score(prompts)
    alone = torch.cat([scorer.score([prompt]) for prompt in prompts])
    assert torch.allclose(together, alone, atol=1e-4)


def test_the_frozen_prefix_is_the_same_after_many_forwards():
    scorer = scorer_of([5, 6, 7], [[9, END], [10, 11, END]])
    before = [layer.keys.clone() for layer in scorer.prefix.cache.layers]
    first = scorer.score([[20, 21]])
    scorer.score([[30] * 9, [31]])
    assert torch.equal(scorer.score([[20, 21]]), first)
    after = [layer.keys for layer in scorer.prefix.cache.layers]
    assert all(torch.equal(now, old) for now, old in zip(after, before, strict=True))


def test_a_thousand_labels_are_scored_exactly():
    sequences = [[5 + n % 10, 20 + n // 10 % 10, 40 + n // 100, END] for n in range(1000)]
    packed = scorer_of([], sequences).score([[7, 8]])
    some = [0, 17, 500, 999]
    naive = score_naive(MODEL, [], [[7, 8]], [sequences[n] for n in some])
    assert torch.allclose(packed[:, some], naive, atol=1e-4)
