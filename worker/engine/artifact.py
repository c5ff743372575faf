"""The model folder: what it must hold, checked before a worker says that it is ready.

config.json, *.safetensors, tokenizer files; taxonomy.toml (labels), prompt.toml (prompt),
calibration.json (temperatures, biases), adapter/ (a LoRA adapter, if any), manifest.json (how it was made;
written last, so a folder without it is half written).
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shared.errors import ArtifactError
from shared.taxonomy import Taxonomy, load_taxonomy
from worker.engine.calibration import Calibration
from worker.engine.prompt_template import PromptTemplate, load_template

SCHEMA = 1
HOW_TO_GET_ONE = (
    "name an artifact folder (WIREDESK_MODEL or --artifact; docs/pipeline.md says how to make one)"
)


@dataclass(frozen=True)
class Artifact:
    """A model folder that has been checked; weights are not loaded yet."""

    folder: Path
    name: str
    revision: str
    taxonomy: Taxonomy
    template: PromptTemplate
    calibration: Calibration
    stored_type: str | None  # int8 or nf4 when the weights are quantised in the folder already
    tied: bool  # input and output embedding are one tensor
    adapter: Path | None = None  # folder of a LoRA adapter on top of the weights

    @property
    def prompt_version(self) -> str:
        """Changes with whatever a person may edit in the folder that changes answers."""
        edited = ("prompt.toml", "taxonomy.toml", "calibration.json", "manifest.json")
        digest = hashlib.sha256()
        for name in edited:
            path = self.folder / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()[:16]


def open_artifact(folder: Path) -> Artifact:
    """Check the folder and read all but the weights.

    Raises:
        ArtifactError: says which file is missing or wrong, and what to do.
    """
    if not folder.is_dir():
        raise ArtifactError(f"there is no model folder {folder}; {HOW_TO_GET_ONE}")
    _manifest(folder)
    _check_weights(folder)
    return open_frame(folder)


def open_frame(folder: Path) -> Artifact:
    """Read all but the weights, which another server may hold.

    Raises:
        ArtifactError: as open_artifact.
    """
    manifest = _manifest(folder)
    path = folder / "config.json"
    config = _read_json(path) if path.is_file() else {}
    return Artifact(
        folder=folder,
        name=manifest["name"],
        revision=manifest["revision"],
        taxonomy=load_taxonomy(folder / "taxonomy.toml"),
        template=load_template(folder / "prompt.toml"),
        calibration=_calibration(folder / "calibration.json"),
        stored_type=stored_type(folder, config),
        tied=config.get("tie_word_embeddings", True),
        adapter=_adapter(folder / "adapter"),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    if not path.is_file():
        raise ArtifactError(
            f"{path} is missing: the folder is half written, or is no artifact; {HOW_TO_GET_ONE}"
        )
    manifest = _read_json(path)
    if manifest.get("schema") != SCHEMA:
        raise ArtifactError(
            f"{path}: schema {manifest.get('schema')!r} is unknown; this Wiredesk reads {SCHEMA}"
        )
    for field in ("name", "revision"):
        if not isinstance(manifest.get(field), str):
            raise ArtifactError(f"{path}: '{field}' is missing")
    return manifest


def _check_weights(folder: Path) -> None:
    """All shards are there, as safetensors: pickles run code when they are loaded."""
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{folder / 'config.json'} is missing: it holds the shape of the model")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
    else:
        shards = ["model.safetensors"]
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if not missing:
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        raise ArtifactError(f"{folder} holds pickled weights; convert them to safetensors")
    raise ArtifactError(f"{folder} lacks weights: {', '.join(missing)}")


def _adapter(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise ArtifactError(f"{folder / name} is missing: the adapter is half written or not safetensors")
    kind = _read_json(folder / "adapter_config.json").get("peft_type")
    if kind != "LORA":
        raise ArtifactError(f"{folder}: adapters of type {kind!r} are not served, only LORA")
    return folder


def stored_type(folder: Path, config: dict[str, Any]) -> str | None:
    """int8 or nf4 where the weights are quantised in the folder already.

    Raises:
        ArtifactError: they are quantised in another way.
    """
    quantization = config.get("quantization_config")
    if quantization is None:
        return None
    if quantization.get("load_in_8bit"):
        return "int8"
    if quantization.get("load_in_4bit"):
        return "nf4"
    method = quantization.get("quant_method")
    raise ArtifactError(f"{folder}: weights quantised by {method!r} are not served, only int8 and nf4")


def _calibration(path: Path) -> Calibration:
    if not path.is_file():
        return Calibration(schema=1)
    try:
        return Calibration.model_validate(_read_json(path))
    except ValidationError as error:
        raise ArtifactError(f"{path} is not a valid calibration: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} must hold a JSON object")
    return value
