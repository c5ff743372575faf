"""The label trie: shared prefixes once, every sequence a path of edges."""

import pytest

from shared.errors import ArtifactError
from worker.engine.trie import build_trie

END = 2


@pytest.mark.parametrize("sequences", [[[5, END], [5, END]], [[5], [5, END]], [[5, END], []]])
def test_repeated_nested_and_empty_sequences_are_refused(sequences):
    with pytest.raises(ArtifactError, match="label"):
        build_trie(sequences)


def test_shared_prefixes_are_fed_once():
    trie = build_trie([[5, 6, END], [5, 7, END], [5, END], [8, END]])
    assert trie.tokens.tolist() == [5, 8, 6, 7]
    assert trie.depths.tolist() == [1, 1, 2, 2]


def test_a_node_sees_itself_and_its_ancestors_only():
    trie = build_trie([[5, 6, END], [5, 7, END], [8, END]])
    assert trie.tokens.tolist() == [5, 8, 6, 7]
    assert trie.ancestors.int().tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]]


def test_each_sequence_is_the_edges_from_the_root():
    sequences = [[5, 6, END], [5, END], [8, END]]
    trie = build_trie(sequences)
    edges = list(zip(trie.edge_nodes.tolist(), trie.edge_tokens.tolist(), strict=True))
    tokens_of_paths = [[edges[n][1] for n in path.nonzero().flatten().tolist()] for path in trie.paths]
    assert [sorted(path) for path in tokens_of_paths] == [sorted(sequence) for sequence in sequences]
    assert edges == sorted(edges)


def test_one_token_labels_need_no_node_but_the_root():
    trie = build_trie([[5], [6]])
    assert trie.size == 0
    assert trie.edge_nodes.tolist() == [0, 0]
