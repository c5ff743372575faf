"""Training on a dozen rows: it learns, resumes exactly, and leaves an artifact that can be served."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from pipeline import training
from pipeline.batches import balanced, collate, cut, encode
from pipeline.calibration import Judge
from pipeline.curve import Curve
from pipeline.losses import Weights, weighted_loss
from pipeline.recipe import Recipe
from pipeline.rows import Row, read_rows
from pipeline.tokenizer import SPECIAL
from pipeline.train import lengths, make_model, make_tokenizer, run
from shared.settings import Settings
from shared.taxonomy import load_taxonomy
from tests.pipeline.conftest import ROOT, copy_rows, killed_at, write_recipe
from worker.engine.labels import LabelSet, labels_of
from worker.engine.model import load_tokenizer
from worker.engine.prompt import Prompt
from worker.engine.scoring import score_naive
from worker.engine.transformers_engine import TransformersEngine


def test_training_learns_and_the_artifact_can_be_served(artifact: Path, work: Path) -> None:
    engine = TransformersEngine.load(Settings(model=str(artifact), quantization="fp32", torch_threads=1))
    rows = read_rows(work, "train")
    answers = engine.classify([row.text for row in rows])
    right = sum(
        getattr(answer, "label", None) == row.label for answer, row in zip(answers, rows, strict=True)
    )
    assert right >= len(rows) - 1


def test_the_loss_on_the_answers_falls(artifact: Path, work: Path, recipe: Recipe) -> None:
    tokenizer = load_tokenizer(artifact)
    batch = collate(encode(read_rows(work, "train"), Prompt(recipe.prompt, tokenizer)))
    weights = Weights(label=1.0)
    trained = AutoModelForCausalLM.from_pretrained(artifact, dtype=torch.float32).eval()
    with torch.inference_mode():
        before = weighted_loss(make_model(recipe.model, tokenizer).eval(), batch, weights, recipe.training)
        after = weighted_loss(trained, batch, weights, recipe.training)
    assert after < 0.5 * before


def test_the_label_loss_is_the_cross_entropy_of_answer_and_end_of_turn(
    artifact: Path, work: Path, recipe: Recipe
) -> None:
    tokenizer = load_tokenizer(artifact)
    prompt = Prompt(recipe.prompt.model_copy(update={"score_end": False}), tokenizer)
    batch = collate(encode(read_rows(work, "train"), prompt))
    model = make_model(recipe.model, tokenizer).eval()
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(batch.ids).logits.float()
        expected = cross_entropy(
            logits.flatten(0, 1), batch.label.flatten(), label_smoothing=recipe.training.smoothing
        )
        loss = weighted_loss(model, batch, Weights(label=2.0), recipe.training)
    torch.testing.assert_close(loss, 2 * expected, rtol=1e-3, atol=0)
    assert (batch.label == prompt.end).sum() == len(batch.ids)


def test_a_killed_training_goes_on_to_the_same_weights(
    artifact: Path, recipe: Recipe, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill comes in the middle of the label phase, after a checkpoint."""
    copy_rows(work, tmp_path)
    killed_at(13, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(recipe, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "labels.pt").is_file()
    resumed = run(recipe, tmp_path, tmp_path / "out")
    whole, parts = (load_file(folder / "model.safetensors") for folder in (artifact, resumed))
    for name, weights in whole.items():
        torch.testing.assert_close(parts[name], weights, rtol=1e-3, atol=1e-3)
    for phase in ("language", "labels"):
        one, other = (torch.load(at / f"{phase}.pt", weights_only=True)["curve"] for at in (work, tmp_path))
        assert [step for step, _ in one["training"]] == [step for step, _ in other["training"]]
        torch.testing.assert_close(
            torch.tensor(other["training"]), torch.tensor(one["training"]), rtol=0, atol=1e-3
        )
        assert "<polyline" in (tmp_path / f"{phase}.svg").read_text(encoding="utf-8")


def test_the_judge_scores_a_model_in_training_as_serving_does(
    recipe: Recipe, work: Path, tmp_path: Path
) -> None:
    """Training takes plain attention, which misreads the masks of packed rows."""
    tokenizer = make_tokenizer(recipe, read_rows(work, "train"), tmp_path)
    names = load_taxonomy(recipe.taxonomy).names
    prompt = Prompt(recipe.prompt, tokenizer, names=names)
    labels = labels_of(load_taxonomy(recipe.taxonomy), prompt)
    assert isinstance(labels, LabelSet)
    rows, model = read_rows(work, "train"), make_model(recipe.model, tokenizer).eval()
    prompts = [prompt.item(row.text).ids + prompt.tail for row in rows]
    naive = labels.fold(score_naive(model, prompt.head, prompts, labels.trie.sequences))
    torch.testing.assert_close(Judge(prompt, labels, rows)._scores(model), naive, atol=1e-3, rtol=0)


def test_training_stops_when_the_calibration_rows_do_not_gain_and_keeps_the_best_weights(
    recipe: Recipe, work: Path, artifact: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(artifact)
    examples = encode(read_rows(work, "train"), Prompt(recipe.prompt, tokenizer))
    patient = recipe.training.model_copy(update={"patience": 2, "judge_steps": 1})
    said, seen = iter([3.0, 2.0, 2.5, 2.0, 2.5, 2.1, 1.0]), []

    def judge(model: torch.nn.Module) -> float:
        seen.append({name: weight.clone() for name, weight in model.state_dict().items()})
        return next(said)

    def loss(model: torch.nn.Module, number: int) -> torch.Tensor:
        batch = collate([examples[number % 3]])
        return weighted_loss(model, batch, Weights(label=1.0), patient)

    phase = training.Phase("labels", 30, 1e-2, loss, judge)
    for _ in range(2):  # the second goes on from the checkpoint, and has nothing left to do
        model = make_model(recipe.model, tokenizer)
        training.train(model, phase, patient, tmp_path / "labels.pt", "key")
        assert len(seen) == 6
        for name, weight in model.state_dict().items():
            assert torch.equal(weight, seen[3][name])
    assert "calibration rows" in (tmp_path / "labels.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("checked", [False, True], ids=["no calibration rows", "calibration rows"])
def test_training_says_whether_it_learned_anything(
    recipe: Recipe, work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], checked: bool
) -> None:
    copy_rows(work, tmp_path)
    if checked:
        shutil.copy(tmp_path / "train.jsonl", tmp_path / "calibration.jsonl")
    idle = recipe.training.model_copy(update={"lm_epochs": 0, "label_epochs": 2, "label_rate": 1e-9})
    run(recipe.model_copy(update={"training": idle}), tmp_path, tmp_path / "tiny")
    told = capsys.readouterr().err
    assert ("learned next to nothing" in told) == checked
    assert ("kept the weights of step" in told) == checked
    assert ("no calibration rows" in told) != checked


def test_a_mistake_in_the_recipe_is_one_line(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, lambda text: text.replace("hidden =", "hiden ="))
    command = [sys.executable, "-m", "pipeline.train", "--recipe", str(path), "--data", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "model.hiden: there is no such field; is 'hidden' meant?" in result.stderr
    assert result.stderr.startswith("train: ")


def test_without_calibration_rows_patience_never_ends_a_training() -> None:
    assert Curve(calibration=[(step, 0.0) for step in range(9)]).without_gain() == 0


def test_a_checkpoint_of_other_rows_is_not_used(recipe: Recipe, work: Path, artifact: Path) -> None:
    saved = torch.load(work / "labels.pt", weights_only=True)
    tokenizer = load_tokenizer(artifact)
    state = training._State(
        make_model(recipe.model, tokenizer), recipe.training, work / "labels.pt", "another key"
    )
    assert saved["step"] > 0
    assert state.step == 0


def test_no_piece_of_the_vocabulary_is_longer_than_the_cap(artifact: Path, recipe: Recipe) -> None:
    pieces = set(load_tokenizer(artifact).get_vocab()) - set(SPECIAL)
    assert max(map(len, pieces)) == recipe.tokenizer.longest_piece


def test_digits_are_read_one_by_one_and_control_words_as_one_token(artifact: Path) -> None:
    tokenizer = load_tokenizer(artifact)
    assert len(tokenizer("2024", add_special_tokens=False)["input_ids"]) == 4
    assert len(tokenizer("<|im_end|>", add_special_tokens=False)["input_ids"]) == 1


def test_batches_hold_each_row_once_and_keep_to_their_size(recipe: Recipe, work: Path) -> None:
    tokenizer = make_tokenizer(recipe, [], work / "tokenizer")
    examples = encode(read_rows(work, "train"), Prompt(recipe.prompt, tokenizer))
    batches = cut(lengths(examples), range(len(examples)), 128, seed=3)
    assert sorted(i for batch in batches for i in batch) == list(range(len(examples)))
    assert all(len(batch) * max(len(examples[i].ids) for i in batch) <= 128 for batch in batches if batch[1:])


def test_rare_labels_come_more_often_and_repeated_rows_as_often_as_said() -> None:
    rows = [Row(str(i), "", "股市", "", "train") for i in range(8)] + [Row("8", "", "债券", "", "train")]
    assert balanced(rows, power=0.0, seed=1) == list(range(9))
    assert 4 <= balanced(rows, power=1.0, seed=1).count(8) <= 5
    assert balanced([Row("0", "", "股市", "", "train", 3)], power=0.0, seed=1) == [0, 0, 0]
