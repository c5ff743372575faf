"""The second teacher: what it thinks of a row never comes from that row."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.excerpts import excerpts, whole_of
from pipeline.ngrams import second_opinion
from pipeline.rows import Row
from pipeline.teaching import mixed_opinion
from shared.errors import RecipeError

NAMES = ["股市", "债券", "其他"]
WORDS = {"股市": "沪指收涨券商领跑", "债券": "国债期货收益率下行", "其他": "周末看花人少景美"}


def rows(count: int, split: str = "train", seed: int = 1) -> list[Row]:
    """Texts of their label's characters, beside some of their own."""
    rng = random.Random(seed)
    return [
        Row(f"{split}-{i}", "".join(rng.choices(WORDS[label], k=12)) + chr(0x5000 + i) * 3, label, "", split)
        for i in range(count)
        for label in [NAMES[i % 3]]
    ]


def test_it_reads_what_it_learned_to_read(tmp_path: Path) -> None:
    splits = {"train": rows(60), "calibration": rows(12, "calibration", 2), "unlabelled": []}
    opinions = second_opinion(splits, NAMES, tmp_path)
    for split in ("train", "calibration"):
        best = opinions[split].argmax(-1).tolist()
        assert [NAMES[i] for i in best] == [row.label for row in splits[split]]
        torch.testing.assert_close(opinions[split].sum(-1), torch.ones(len(best)))
    assert opinions["unlabelled"].shape == (0, 3)


@pytest.mark.parametrize("ids", ["{}", "story {}, part 1"])
def test_a_row_and_its_parts_are_read_by_a_model_that_did_not_learn_it(tmp_path: Path, ids: str) -> None:
    """Labels by chance, which only the row itself could tell: nothing of them is known."""
    rng = random.Random(3)
    letters = [chr(0x5000 + i) for i in range(300)]
    texts = ["".join(rng.sample(letters, 40)) for _ in range(300)]
    own = [Row(ids.format(i), text, rng.choice(NAMES), "", "train") for i, text in enumerate(texts)]
    parts = excerpts(own, 1, 1)
    opinions = second_opinion({"train": own, "calibration": [], "unlabelled": parts}, NAMES, tmp_path)
    labels = {whole_of(row): row.label for row in own}
    for split, some in (("train", own), ("unlabelled", parts)):
        best = [NAMES[i] for i in opinions[split].argmax(-1).tolist()]
        right = sum(a == labels[whole_of(row)] for a, row in zip(best, some, strict=True))
        assert len(some) == 300
        assert right < 0.5 * len(some)


def test_a_label_that_the_other_folds_lack_is_the_least_likely(tmp_path: Path) -> None:
    lonely = [*rows(30), Row("lonely", "独一无二的一条", "其他", "", "train")]
    some = [row for row in lonely if row.label != "其他" or row.id == "lonely"]
    opinions = second_opinion({"train": some, "calibration": []}, NAMES, tmp_path)
    assert torch.isfinite(opinions["train"]).all()
    assert opinions["train"][-1][2] == opinions["train"][-1].min()


def test_an_opinion_is_kept_as_long_as_the_rows_are_the_same(tmp_path: Path) -> None:
    splits = {"train": rows(30), "calibration": []}
    first = second_opinion(splits, NAMES, tmp_path)
    kept = (tmp_path / "ngrams.pt").stat().st_mtime_ns
    again = second_opinion(splits, NAMES, tmp_path)
    assert (tmp_path / "ngrams.pt").stat().st_mtime_ns == kept
    torch.testing.assert_close(first["train"], again["train"])
    splits["train"][-1] = replace(splits["train"][-1], label="股市")
    second_opinion(splits, NAMES, tmp_path)
    assert (tmp_path / "ngrams.pt").stat().st_mtime_ns != kept


def test_two_opinions_are_one_by_their_weights() -> None:
    one, other = torch.tensor([[0.8, 0.2]]), torch.tensor([[0.2, 0.8]])
    torch.testing.assert_close(mixed_opinion(one, other, 0.0), one)
    torch.testing.assert_close(mixed_opinion(one, other, 0.5), torch.tensor([[0.5, 0.5]]))
    assert mixed_opinion(one, other, 0.3)[0, 0] > 0.5


def test_of_two_labels_each_is_as_far_as_the_other_is_near(tmp_path: Path) -> None:
    some = [row for row in rows(60) if row.label != "债券"]
    opinions = second_opinion({"train": some, "calibration": some[:4]}, ["股市", "其他"], tmp_path)
    assert [["股市", "其他"][i] for i in opinions["train"].argmax(-1).tolist()] == [row.label for row in some]


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="ngrams need more rows, of two labels at least"):
        second_opinion({"train": rows(1), "calibration": []}, NAMES, tmp_path)
