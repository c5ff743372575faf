"""Packed scores equal naive ones, whatever the labels and texts."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ArtifactError
from tests.engine.tiny import tiny_model
from worker.engine.prefix import FrozenPrefix
from worker.engine.scoring import score_naive, score_packed
from worker.engine.trie import build_trie

END = 2
MODEL = tiny_model()
token = st.integers(5, 255)
label = st.lists(st.integers(5, 12), min_size=1, max_size=4).map(tuple)  # few tokens: many shared prefixes
label_sets = st.sets(label, min_size=2, max_size=8).map(
    lambda labels: [[*name, END] for name in sorted(labels)]
)
prompt_sets = st.lists(st.lists(token, min_size=1, max_size=40), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(head=st.lists(token, max_size=12), prompts=prompt_sets, sequences=label_sets)
def test_packed_scores_equal_naive_scores(head, prompts, sequences):
    packed = score_packed(MODEL, prompts, build_trie(sequences), FrozenPrefix(MODEL, head))
    naive = score_naive(MODEL, head, prompts, sequences)
    assert packed.shape == (len(prompts), len(sequences))
    assert torch.allclose(packed, naive, atol=1e-4)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(sequences=label_sets)
def test_label_probabilities_sum_to_at_most_one(sequences):
    scores = score_packed(MODEL, [[7, 8, 9]], build_trie(sequences), FrozenPrefix(MODEL, [5, 6]))
    assert float(scores.exp().sum()) <= 1 + 1e-5


def test_the_frozen_prefix_is_the_same_after_many_forwards():
    prefix = FrozenPrefix(MODEL, [5, 6, 7])
    before = [layer.keys.clone() for layer in prefix.cache.layers]
    trie = build_trie([[9, END], [10, 11, END]])
    first = score_packed(MODEL, [[20, 21]], trie, prefix)
    score_packed(MODEL, [[30] * 9, [31]], trie, prefix)
    assert torch.equal(score_packed(MODEL, [[20, 21]], trie, prefix), first)
    assert all(torch.equal(layer.keys, old) for layer, old in zip(prefix.cache.layers, before, strict=True))


def test_a_thousand_labels_are_scored_exactly():
    sequences = [[5 + n % 10, 20 + n // 10 % 10, 40 + n // 100, END] for n in range(1000)]
    packed = score_packed(MODEL, [[7, 8]], build_trie(sequences), FrozenPrefix(MODEL, []))
    some = [0, 17, 500, 999]
    naive = score_naive(MODEL, [], [[7, 8]], [sequences[n] for n in some])
    assert torch.allclose(packed[:, some], naive, atol=1e-4)


@pytest.mark.parametrize("sequences", [[[5, END], [5, END]], [[5], [5, END]], [[5, END], []]])
def test_repeated_nested_and_empty_sequences_are_refused(sequences):
    with pytest.raises(ArtifactError, match="label"):
        build_trie(sequences)


def test_the_trie_shares_prefixes():
    trie = build_trie([[5, 6, END], [5, 7, END], [5, END], [8, END]])
    assert trie.size == 4  # 5, 8, 5-6, 5-7
    assert sorted(trie.depths.tolist()) == [1, 1, 2, 2]
    assert trie.paths.sum(1).tolist() == [3, 3, 2, 2]
