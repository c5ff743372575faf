"""Branches behind one item: exact, the item read once, within the row, whatever memory does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.tiny import tiny_model
from worker.engine import branches as module
from worker.engine.branches import BranchScorer
from worker.engine.packing import Asked, Branch
from worker.engine.scoring import score_naive
from worker.engine.trie import build_trie

END = 2
MODEL = tiny_model()
HEAD = [5, 6, 7]
token = st.integers(5, 255)
answers = st.sets(st.lists(st.integers(5, 9), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3)
branch = st.builds(
    lambda tail, said: Branch(tail, build_trie([[*one, END] for one in sorted(said)])),
    st.lists(token, min_size=1, max_size=9),
    answers,
)
asked_of = st.builds(
    Asked, st.lists(token, min_size=1, max_size=30), st.lists(branch, min_size=1, max_size=4)
)


def scorer(row_tokens: int = 10_000) -> BranchScorer:
    return BranchScorer(MODEL, HEAD, row_tokens)


def naive(asked: Asked) -> list[torch.Tensor]:
    """Each question by whole forwards of its own."""
    return [
        score_naive(MODEL, HEAD, [[*asked.item, *one.tail]], one.trie.sequences)[0] for one in asked.branches
    ]


def many(count: int, item: int = 20) -> Asked:
    """An item, and as many different questions about it."""
    tries = [build_trie([[9, END], [10, n % 5 + 11, END]]) for n in range(count)]
    return Asked(
        list(range(30, 30 + item)), [Branch([20 + n % 7, 40 + n % 11], t) for n, t in enumerate(tries)]
    )


def assert_same(scores, expected) -> None:
    for own, others in zip(scores, expected, strict=True):
        for one, other in zip(own, others, strict=True):
            assert torch.allclose(one, other, atol=3e-5, rtol=0)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(asked=st.lists(asked_of, min_size=1, max_size=3), row_tokens=st.sampled_from([1, 25, 60, 10_000]))
def test_scores_equal_those_of_each_question_alone(asked: list[Asked], row_tokens: int):
    assert_same(scorer(row_tokens).score(asked), [naive(one) for one in asked])


def count_tokens(scorer: BranchScorer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of each forward, noted as they come."""
    seen: list[int] = []
    honest = MODEL.base_model.forward

    def noting(*, input_ids: torch.Tensor, **more: object):
        seen.append(input_ids.shape[1])
        return honest(input_ids=input_ids, **more)

    monkeypatch.setattr(MODEL.base_model, "forward", noting)
    return seen


def test_the_item_of_many_questions_is_read_once(monkeypatch: pytest.MonkeyPatch):
    asked, once = many(10), scorer()
    seen = count_tokens(once, monkeypatch)
    once.score([asked])
    assert seen == [asked.cost]


def test_four_hundred_questions_take_several_forwards_over_the_kept_item(monkeypatch: pytest.MonkeyPatch):
    asked, rows = many(400, item=100), scorer(row_tokens=256)
    seen = count_tokens(rows, monkeypatch)
    scores = rows.score([asked])
    monkeypatch.undo()
    assert sum(seen) == asked.cost  # the item once, each branch once
    assert seen[0] == 100
    assert max(seen) <= 256
    some = Asked(asked.item, [asked.branches[n] for n in (0, 137, 399)])
    assert_same([[scores[0][n] for n in (0, 137, 399)]], [naive(some)])


def test_three_items_that_fit_share_a_row(monkeypatch: pytest.MonkeyPatch):
    asked, together = [many(2), many(5), many(1)], scorer()
    seen = count_tokens(together, monkeypatch)
    together.score(asked)
    assert seen == [sum(one.cost for one in asked)]


@pytest.mark.parametrize("most", [2, 1])
def test_out_of_memory_halves_down_to_single_branches(most: int, monkeypatch: pytest.MonkeyPatch):
    honest = module.score_branches

    def narrow(model, asked, prefix):
        if sum(len(one.branches) for one in asked) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return honest(model, asked, prefix)

    monkeypatch.setattr(module, "score_branches", narrow)
    asked = [many(3), many(2)]
    assert_same(scorer().score(asked), [naive(one) for one in asked])


def test_what_never_fits_has_no_scores(monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    wide = scorer()
    monkeypatch.setattr(module, "score_branches", full)
    assert wide.score([many(3)]) == [[None] * 3]
    monkeypatch.setattr(module, "FrozenPrefix", full)
    assert wide.score([many(2)]) == [[None] * 2]


def test_a_bug_of_the_model_is_not_taken_for_want_of_memory(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(module, "score_branches", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        scorer().score([many(2)])


def poisoned(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    """A token whose embedding is no number."""
    honest = MODEL.base_model.embed_tokens.forward

    def spoil(ids: torch.Tensor) -> torch.Tensor:
        return honest(ids).masked_fill((ids == bad)[..., None], torch.nan)

    monkeypatch.setattr(MODEL.base_model.embed_tokens, "forward", spoil)


def test_a_branch_without_numbers_harms_no_other(monkeypatch: pytest.MonkeyPatch):
    one, other = many(4), many(3)
    bad = Branch([250], one.branches[0].trie)
    asked = [Asked(one.item, [*one.branches[:2], bad, *one.branches[2:]]), other]
    expected = [naive(asked[0]), naive(other)]
    poisoned(monkeypatch, 250)
    scores = scorer().score(asked)
    assert not torch.isfinite(scores[0].pop(2)).any()
    expected[0].pop(2)
    assert_same(scores, expected)


def test_an_item_without_numbers_harms_no_other(monkeypatch: pytest.MonkeyPatch):
    good = many(3)
    expected = naive(good)
    poisoned(monkeypatch, 250)
    scores = scorer().score([Asked([250, 31], good.branches), good])
    assert not any(torch.isfinite(own).any() for own in scores[0])
    assert_same(scores[1:], [expected])


def test_a_frozen_prefix_that_grows_leaves_the_shorter_one_as_it_was():
    rows = scorer(row_tokens=30)
    before = [layer.keys.clone() for layer in rows.prefix.cache.layers]
    rows.score([many(40)])
    after = [layer.keys for layer in rows.prefix.cache.layers]
    assert all(torch.equal(now, old) for now, old in zip(after, before, strict=True))
