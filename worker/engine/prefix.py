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

    Args:
        before: a prefix that these tokens follow; its keys and values are not computed again.

    Attributes:
        ids: its tokens.
        length: how many they are.
        cache: pass as past_key_values together with use_cache=True; None for an empty prefix.
    """

    ids: list[int]
    length: int
    cache: DynamicCache | None

    @property
    def size(self) -> int:
        """Bytes on the device."""
        layers = self.cache.layers if self.cache else ()
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in layers)

    @property
    def finite(self) -> bool:
        """Whether what follows it can have scores at all."""
        return not self.cache or bool(torch.isfinite(self.cache.layers[-1].values).all())

    @torch.inference_mode()
    def __init__(self, model: Any, ids: Sequence[int], before: "FrozenPrefix | None" = None):
        self.ids = [*(before.ids if before else ()), *ids]
        self.length = len(self.ids)
        self.cache = _freeze(model, ids, before.cache if before else None) if self.ids else None


def _freeze(model: Any, ids: Sequence[int], before: DynamicCache | None) -> DynamicCache:
    if not ids:
        return before
    known = _growing(model, before.layers if before else ())
    computed = model.base_model(
        input_ids=torch.tensor([list(ids)], device=model.device), past_key_values=known, use_cache=True
    ).past_key_values
    return _cache_of(model, FrozenLayer, computed.layers)


def _growing(model: Any, layers: Sequence[DynamicLayer]) -> DynamicCache:
    """A cache that begins with these layers and grows beside them: it makes tensors of its own."""
    return _cache_of(model, DynamicLayer, layers) if layers else DynamicCache(config=model.config)


def _cache_of(model: Any, kind: type[DynamicLayer], layers: Sequence[DynamicLayer]) -> DynamicCache:
    cache = DynamicCache(config=model.config)
    cache.layers = [_layer(kind, layer) for layer in layers]
    return cache


def _layer(kind: type[DynamicLayer], layer: DynamicLayer) -> DynamicLayer:
    made = kind()
    made.keys, made.values = layer.keys, layer.values
    made.dtype, made.device, made.is_initialized = layer.keys.dtype, layer.keys.device, True
    return made
