"""What a training leaves: an artifact that is whole, small, and says how it was made."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from pipeline.publish import check_output, prompt_toml, publish
from pipeline.recipe import Recipe
from pipeline.rows import read_rows
from shared.errors import ArtifactError, RecipeError
from shared.settings import Settings
from worker.engine.artifact import open_artifact
from worker.engine.model import load_tokenizer
from worker.engine.prompt_template import PromptTemplate, load_template
from worker.engine.question_template import QuestionTemplate
from worker.engine.transformers_engine import TransformersEngine


@pytest.mark.parametrize(
    "questions", [None, QuestionTemplate(choice='问：{question}\n{options}\n"选"', yes=("是", "对"))]
)
def test_a_prompt_survives_its_file(tmp_path: Path, questions: QuestionTemplate | None) -> None:
    """Once a template without [questions] was written with a value that TOML does not have."""
    template = PromptTemplate(
        system='"引号"\n\\', zero_shot=True, strip_prefixes=("新闻：",), questions=questions
    )
    (tmp_path / "prompt.toml").write_text(prompt_toml(template), encoding="utf-8")
    assert load_template(tmp_path / "prompt.toml") == template


def test_a_folder_that_is_no_artifact_is_not_replaced(artifact: Path, tmp_path: Path) -> None:
    """It was deleted, without a word, after the training."""
    (tmp_path / "mine").mkdir()
    check_output(tmp_path / "mine")
    check_output(artifact)
    check_output(tmp_path / "new" / "one")
    (tmp_path / "mine" / "notes.txt").write_text("keep", encoding="utf-8")
    for path in (tmp_path / "mine", tmp_path / "mine" / "notes.txt"):
        with pytest.raises(RecipeError, match="is no artifact and would be lost: name a new folder"):
            check_output(path)
    with pytest.raises(RecipeError, match="cannot be made"):
        check_output(tmp_path / "mine" / "notes.txt" / "one" / "two")


def test_a_half_written_artifact_is_refused(artifact: Path, tmp_path: Path) -> None:
    half = shutil.copytree(artifact, tmp_path / "half")
    (half / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"manifest\.json is missing"):
        open_artifact(half)


def test_embeddings_in_eight_bits_take_half_the_room_and_answer_alike(
    artifact: Path, work: Path, recipe: Recipe, tmp_path: Path
) -> None:
    whole = TransformersEngine.load(Settings(model=str(artifact), quantization="fp32", torch_threads=1))
    model = AutoModelForCausalLM.from_pretrained(artifact, dtype=torch.float32)
    shape = recipe.model.model_copy(update={"embeddings": "float8"})
    small = recipe.model_copy(update={"model": shape})
    folder = publish(model, load_tokenizer(artifact), small, work, tmp_path / "small", 1.0)
    name = "model.embed_tokens.weight"
    stored, before = (load_file(one / "model.safetensors")[name] for one in (folder, artifact))
    assert (stored.dtype, before.dtype) == (torch.float8_e4m3fn, torch.float16)
    assert torch.allclose(stored.float(), before.float(), rtol=0.07, atol=0.002)
    texts = [row.text for row in read_rows(work, "train")]
    for quantization in ("fp32", "bf16", "int8"):
        settings = Settings(model=str(folder), quantization=quantization, torch_threads=1)
        answers = zip(whole.classify(texts), TransformersEngine.load(settings).classify(texts), strict=True)
        assert sum(one.label == other.label for one, other in answers) >= len(texts) - 1, quantization


def test_the_manifest_says_how_it_was_made_and_names_no_place_on_this_machine(
    artifact: Path, work: Path, data: Path
) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["splits"]["train"]["rows"] == 12
    assert manifest["data"]["sources"]["authored"] == {"train": 12}
    assert manifest["commands"][0].startswith("python -m pipeline.prepare")
    for path in artifact.iterdir():
        content = path.read_bytes()
        for place in (work, data, Path.home(), Path.cwd()):
            assert str(place).encode() not in content, path.name
