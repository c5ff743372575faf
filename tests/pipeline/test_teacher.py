"""A teacher of random weights: it learns the labels, thinks of every row, and its pupil follows it."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.batches import collate, encode
from pipeline.encoder import load_encoder
from pipeline.lesson import Lesson, lesson_layer, lesson_of
from pipeline.losses import Weights, weighted_loss
from pipeline.recipe import Recipe, Teacher
from pipeline.rows import Row, read_rows
from pipeline.teacher import Opinion, labelled, taught, word_vectors
from pipeline.train import make_model, make_tokenizer, run
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy
from tests.pipeline.conftest import NEWS, copy_rows, killed_at
from tests.pipeline.test_encoder import write_packed
from worker.engine.artifact import open_artifact
from worker.engine.prompt import Prompt
from worker.engine.scoring import score_naive

PIECES = sorted({character for text, _ in NEWS for character in text if character != " "})


@pytest.fixture(scope="module")
def with_teacher(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The recipe of seconds with an encoder that knows the characters of its news."""
    folder = tmp_path_factory.mktemp("teacher")
    write_packed(folder / "teacher.bin", PIECES)
    teacher = Teacher(file="teacher.bin", epochs=60, rate=3e-3, batch_tokens=512, frozen_layers=0, longest=64)
    return recipe.model_copy(update={"path": folder / "tiny.toml", "teacher": teacher})


@pytest.fixture(scope="module")
def names(recipe: Recipe) -> list[str]:
    return list(load_taxonomy(recipe.taxonomy).names)


@pytest.fixture(scope="module")
def splits(work: Path) -> dict[str, list[Row]]:
    rows = read_rows(work, "train")
    unlabelled = [Row("u", "央行再次下调利率。", "", "authored", "unlabelled")]
    return {"train": rows, "unlabelled": unlabelled, "calibration": []}


@pytest.fixture(scope="module")
def found(
    with_teacher: Recipe,
    names: list[str],
    splits: dict[str, list[Row]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Opinion]:
    torch.set_num_threads(1)
    assert with_teacher.teacher
    return taught(with_teacher, with_teacher.teacher, splits, names, tmp_path_factory.mktemp("taught"))


def test_the_teacher_learns_the_labels(
    found: dict[str, Opinion], names: list[str], splits: dict[str, list[Row]]
) -> None:
    answers = [names[i] for i in found["train"].probabilities.argmax(-1).tolist()]
    assert sum(a == row.label for a, row in zip(answers, splits["train"], strict=True)) >= 11
    torch.testing.assert_close(found["train"].probabilities.sum(-1), torch.ones(12))
    assert found["unlabelled"].probabilities.shape == (1, len(names))
    assert found["calibration"].probabilities.shape == (0, len(names))
    assert found["train"].vectors.shape[0] == 12


def test_only_rows_without_a_label_get_the_teachers(names: list[str]) -> None:
    rows = [Row("1", "", "股市", "", "train"), Row("2", "", "", "", "unlabelled")]
    thought = torch.nn.functional.one_hot(torch.tensor([0, 3]), len(names)).float()
    assert [row.label for row in labelled(rows, thought, names)] == ["股市", names[3]]


def test_the_pupil_is_pulled_to_what_the_teacher_thinks(
    recipe: Recipe, work: Path, names: list[str], splits: dict[str, list[Row]], tmp_path: Path
) -> None:
    """Without a loss on the label: the answers' tokens follow the probabilities, a layer the vector."""
    prompt = Prompt(recipe.prompt, make_tokenizer(recipe, read_rows(work, "train"), tmp_path))
    answers = [prompt.whole_answer(name) for name in names]
    own = [names.index(row.label) for row in splits["train"][:3]]
    thought = torch.zeros(3, len(names))
    thought[:, own[0]], thought[:, own[0] + 1] = 0.75, 0.25
    lesson = lesson_of(answers, own, thought, torch.tensor([[9.0, 1.0], [3.0, 2.0], [3.0, 6.0]]))
    torch.testing.assert_close(lesson.vectors.float().mean(0), torch.zeros(2), atol=1e-3, rtol=0)
    model = taught_alone(recipe, prompt, splits["train"][:3], lesson)
    prompts = [prompt.item(row.text).ids + prompt.tail for row in splits["train"][:3]]
    likely = score_naive(model, prompt.head, prompts, answers[own[0] : own[0] + 2]).exp()
    torch.testing.assert_close(likely[:, 0], torch.full((3,), 0.75), atol=0.1, rtol=0)
    assert not hasattr(model, "to_teacher")


def test_answers_that_begin_alike_share_what_the_teacher_thinks_of_their_beginning(
    recipe: Recipe, splits: dict[str, list[Row]], work: Path, tmp_path: Path
) -> None:
    """As the values of slots do: the row's own first value, then the second values behind it."""
    names = ["股市、央行", "股市、市场", "其他、央行"]
    prompt = Prompt(recipe.prompt, make_tokenizer(recipe, read_rows(work, "train"), tmp_path))
    rows = [replace(row, label=name) for row, name in zip(splits["train"], names, strict=False)]
    answers = [prompt.whole_answer(name) for name in names]
    thought = torch.tensor([[0.6, 0.2, 0.2]] * 3)
    lesson = lesson_of(answers, [0, 1, 2], thought, torch.randn(3, 4))
    model = taught_alone(recipe, prompt, rows, lesson)
    prompts = [prompt.item(row.text).ids + prompt.tail for row in rows]
    likely = score_naive(model, prompt.head, prompts, answers).exp()
    torch.testing.assert_close(likely[:2], thought[:2], atol=0.1, rtol=0)
    torch.testing.assert_close(likely[2, 2], thought[2, 2], atol=0.1, rtol=0)


def taught_alone(recipe: Recipe, prompt: Prompt, rows: Sequence[Row], lesson: Lesson) -> Any:
    """A model that learned from the lesson alone, until it guesses the teacher's vectors."""
    batch = collate(encode(rows, prompt))
    torch.manual_seed(1)
    model = make_model(recipe.model, prompt.tokenizer)
    with lesson_layer(model, lesson):
        optimizer = torch.optim.Adam(model.parameters(), 1e-2)
        for _ in range(150):
            optimizer.zero_grad()
            weighted_loss(model, batch, Weights(soft=1.0, vectors=1.0), recipe.training, lesson).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            states = model.model(batch.ids).last_hidden_state[torch.arange(3), batch.before]
            torch.testing.assert_close(model.to_teacher(states), lesson.vectors.float(), atol=0.3, rtol=0)
    return model


def test_a_lesson_of_some_rows_is_about_those() -> None:
    whole = lesson_of([[1, 9], [2, 9]], [0, 1, 1], torch.eye(3)[:, :2], torch.randn(3, 4))
    some = whole.of([2, 0])
    assert some.own.tolist() == [1, 0]
    torch.testing.assert_close(some.probabilities, whole.probabilities[[2, 0]])
    torch.testing.assert_close(some.vectors, whole.vectors[[2, 0]])


def test_without_scikit_learn_the_way_to_it_is_told(
    with_teacher: Recipe, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_rows(work, tmp_path)
    monkeypatch.setitem(sys.modules, "pipeline.ngrams", None)
    asked = with_teacher.teacher.model_copy(update={"ngrams": 0.3})
    with pytest.raises(RecipeError, match=r"pip install -r requirements-train\.txt"):
        run(with_teacher.model_copy(update={"teacher": asked}), tmp_path, tmp_path / "out")


def test_pieces_begin_with_the_vectors_of_their_text(
    with_teacher: Recipe, work: Path, recipe: Recipe, tmp_path: Path
) -> None:
    tokenizer = make_tokenizer(recipe, read_rows(work, "train"), tmp_path)
    encoder = load_encoder(64, with_teacher.folder / "teacher.bin")
    vectors = word_vectors(encoder, tokenizer, 16)
    assert vectors.shape == (len(tokenizer), 16)
    assert torch.isfinite(vectors).all()
    one, other = (tokenizer.convert_tokens_to_ids(piece) for piece in ("a", "b"))
    assert not torch.equal(vectors[one], vectors[other])


def test_a_model_wider_than_the_teachers_vectors_is_refused_before_anything_is_learned(
    with_teacher: Recipe, work: Path, tmp_path: Path
) -> None:
    copy_rows(work, tmp_path)
    wide = with_teacher.model_copy(update={"model": with_teacher.model.model_copy(update={"hidden": 512})})
    with pytest.raises(RecipeError, match=r"model\.hidden is 512, but .* have \d+ numbers: take at most"):
        run(wide, tmp_path, tmp_path / "out")
    assert not (tmp_path / "teacher.pt").exists()


def test_a_training_with_a_teacher_that_is_killed_reuses_what_is_done_and_ends_in_the_same_weights(
    with_teacher: Recipe, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_rows(work, tmp_path)
    short = with_teacher.model_copy(
        update={
            "training": with_teacher.training.model_copy(update={"label_epochs": 2.0, "lm_epochs": 0.0}),
            "teacher": with_teacher.teacher.model_copy(
                update={"epochs": 1.0, "excerpts": 2, "ngrams": 0.3, "vector_weight": 1.0}
            ),
        }
    )
    first = run(short, tmp_path, tmp_path / "one")
    kept = (tmp_path / "taught.pt").stat().st_mtime_ns
    (tmp_path / "labels.pt").unlink()
    steps = killed_at(3, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(short, tmp_path, tmp_path / "two")
    second = run(short, tmp_path, tmp_path / "two")
    assert (tmp_path / "taught.pt").stat().st_mtime_ns == kept
    assert steps[-1] + 1 == len(steps) - 1  # none was done twice
    whole, parts = (load_file(folder / "model.safetensors") for folder in (first, second))
    for name, weights in whole.items():
        torch.testing.assert_close(parts[name], weights, rtol=1e-3, atol=1e-3)
    assert open_artifact(first).name == "tiny"
