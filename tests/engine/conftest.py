"""One tiny artifact and one engine on it, for all tests of the engine."""

import shutil
from pathlib import Path

import pytest

from shared.settings import Settings
from tests.engine.tiny import write_tiny_artifact
from worker.engine.transformers_engine import TransformersEngine


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never written to; take `copy` to damage one."""
    return write_tiny_artifact(tmp_path_factory.mktemp("tiny") / "artifact")


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture(scope="session")
def engine(tiny: Path) -> TransformersEngine:
    return load(tiny)


def load(folder: Path, **settings: object) -> TransformersEngine:
    return TransformersEngine.load(
        Settings(model=str(folder), **({"quantization": "fp32", "torch_threads": 1} | settings))
    )
