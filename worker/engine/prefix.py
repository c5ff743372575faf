"""The frozen prefix: keys and values of the prompt's head, computed once and never changed."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class FrozenLayer(DynamicLayer):
    """Answers with prefix ++ new and stores nothing: no growth, no copy kept, nothing to corrupt."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        rows = key_states.shape[0]
        keys = torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=2)
        values = torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=2)
        return keys, values


class FrozenPrefix:
    """The KV cache of `ids`, reusable in any number of forwards.

    Attributes:
        ids: its tokens.
        length: how many they are.
        cache: pass as past_key_values together with use_cache=True; None for an empty prefix.
    """

    @property
    def size(self) -> int:
        """Bytes on the device."""
        layers = self.cache.layers if self.cache else ()
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)

    @torch.inference_mode()
    def __init__(self, model: Any, ids: Sequence[int]):
        self.ids = list(ids)
        self.length = len(self.ids)
        self.cache = _freeze(model, ids) if ids else None


def _freeze(model: Any, ids: Sequence[int]) -> DynamicCache:
    computed = model.base_model(
        input_ids=torch.tensor([list(ids)], device=model.device), use_cache=True
    ).past_key_values
    frozen = DynamicCache(config=model.config)
    frozen.layers = [_frozen_layer(layer) for layer in computed.layers]
    return frozen


def _frozen_layer(layer: DynamicLayer) -> FrozenLayer:
    frozen = FrozenLayer()
    frozen.keys, frozen.values = layer.keys, layer.values
    frozen.dtype, frozen.device, frozen.is_initialized = layer.keys.dtype, layer.keys.device, True
    return frozen
