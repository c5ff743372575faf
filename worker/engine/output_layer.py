"""Logits of a few positions on a CPU, without reading the output layer's weights once for each of them.

A classifier's vocabulary is large beside its hidden size, so memory is what its output layer waits for, and
the library's kernels for 1 to 8 rows read the weights more slowly, or more often, than the hardware could.
Measured: docs/log.md, "the output layer on a CPU".
"""

from typing import Any

import torch
from torch import nn

FEW = 8  # rows; from about 16 on the usual order is as fast


class OutputLayer(nn.Linear):
    """A linear layer without bias that takes few rows on the right of the product, a single one twice."""

    def __init__(self, weight: nn.Parameter):
        super().__init__(weight.shape[1], weight.shape[0], bias=False, device="meta")
        self.weight = weight

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., hidden] -> logits [..., vocabulary]"""
        rows = states.reshape(-1, self.in_features)
        if not 0 < len(rows) <= FEW:
            return super().forward(states)
        columns = (rows if len(rows) > 1 else rows.repeat(2, 1)).T
        logits = (self.weight @ columns)[:, : len(rows)].T
        return logits.reshape(*states.shape[:-1], self.out_features)


def speed_up_output(model: Any) -> None:
    """Where it helps: weights in fp32 on a CPU. In bf16 the usual order is the faster one."""
    layer = model.get_output_embeddings()
    if type(layer) is nn.Linear and layer.bias is None and _is_plain(layer.weight):
        model.set_output_embeddings(OutputLayer(layer.weight))


def _is_plain(weight: torch.Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu"
