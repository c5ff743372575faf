"""Where the weights go and in which type."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear8bitLt

from shared.errors import ArtifactError
from tests.engine.conftest import load
from tests.engine.tiny import tiny_model, write_tiny_artifact
from worker.engine.host_embedding import move_embedding_to_host
from worker.engine.model import resolve
from worker.engine.prefix import FrozenPrefix
from worker.engine.protocol import Classification
from worker.engine.scoring import score_naive, score_packed
from worker.engine.trie import build_trie

TEXTS = ["央行下调利率", "Oil prices rose", "股市上涨。" * 5]


@pytest.mark.parametrize("quantization", ["int8", "bf16", "nf4"])
def test_other_types_serve_on_a_cpu_too(tiny: Path, quantization: str):
    engine = load(tiny, quantization=quantization)
    assert engine.describe().quantization == quantization
    assert all(isinstance(answer, Classification) for answer in engine.classify(TEXTS))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes NF4 of any width")
def test_nf4_of_a_width_that_a_cpu_cannot_compute_is_refused(tmp_path: Path):
    """It failed in the first forward, deep in the library."""
    folder = write_tiny_artifact(tmp_path / "artifact", hidden_size=160)
    with pytest.raises(ArtifactError, match="a multiple of 64, and this model has 160; set WIREDESK_QUANT"):
        load(folder, quantization="nf4")
    assert load(folder, quantization="int8").describe().quantization == "int8"


def test_auto_is_int8_on_a_gpu_and_fp32_on_a_cpu():
    assert resolve("auto") == ("int8" if torch.cuda.is_available() else "fp32")


def test_auto_takes_the_type_that_is_stored():
    assert resolve("auto", stored_type="nf4") == "nf4"
    with pytest.raises(ArtifactError, match="WIREDESK_QUANTIZATION to auto or nf4"):
        resolve("int8", stored_type="nf4")


@pytest.mark.parametrize("tied", [True, False])
def test_an_output_layer_of_its_own_is_in_8_bit_too(copy: Path, tied: bool):
    tiny_model(tie_word_embeddings=tied).save_pretrained(copy)
    engine = load(copy, quantization="int8")
    assert isinstance(engine.question.scorer.model.lm_head, Linear8bitLt) is not tied
    assert all(isinstance(answer, Classification) for answer in engine.classify(TEXTS))


def test_an_embedding_in_host_memory_changes_no_score():
    sequences, prompts = [[9, 2], [10, 11, 2]], [[20, 21], [30]]
    model, moved = (tiny_model(tie_word_embeddings=False) for _ in range(2))
    move_embedding_to_host(moved)
    before, after = (
        score_packed(m, prompts, build_trie(sequences), FrozenPrefix(m, [5, 6])) for m in (model, moved)
    )
    assert torch.equal(before, after)
    assert torch.allclose(score_naive(moved, [5, 6], prompts, sequences), before, atol=1e-4)


def test_an_embedding_in_host_memory_is_no_weight_of_the_device():
    model = tiny_model(tie_word_embeddings=False)
    device = model.device
    move_embedding_to_host(model)
    assert model.device == device
    assert not any("embed_tokens" in name for name, _ in model.named_parameters())
