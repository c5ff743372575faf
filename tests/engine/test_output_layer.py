"""Logits of a few rows, in the other order of the product."""

from pathlib import Path

import pytest
import torch

from tests.engine.conftest import load
from tests.engine.tiny import tiny_model
from worker.engine.output_layer import FEW, OutputLayer


@pytest.mark.parametrize("shape", [(1, 1), (1,), (3, 1), (2, 4), (FEW,), (FEW + 1,), (2, FEW), (0,)])
def test_any_number_of_rows_gets_the_logits_of_a_linear_layer(shape: tuple[int, ...]):
    plain = torch.nn.Linear(16, 50, bias=False)
    states = torch.randn(*shape, 16)
    torch.testing.assert_close(OutputLayer(plain.weight)(states), plain(states))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has kernels for few rows")
@pytest.mark.parametrize(("quantization", "own"), [("fp32", True), ("int8", True), ("bf16", False)])
def test_a_model_on_a_cpu_has_it_where_its_weights_are_fp32_and_they_stay_tied(
    copy: Path, quantization: str, own: bool
):
    tiny_model(tie_word_embeddings=True).save_pretrained(copy)
    model = load(copy, quantization=quantization).question.scorer.model
    assert isinstance(model.get_output_embeddings(), OutputLayer) is own
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
