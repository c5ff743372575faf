"""The stand-in: only by name, deterministic, and without any model library."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import Settings
from worker.engine.loading import load_engine
from worker.engine.standin import StandIn
from worker.engine.transformers_engine import TransformersEngine


def test_the_stand_in_is_served_only_by_name(tiny: Path):
    assert isinstance(load_engine(Settings(model="standin")), StandIn)
    assert isinstance(load_engine(Settings(model=str(tiny), quantization="fp32")), TransformersEngine)


def test_a_text_always_gets_the_same_answer():
    texts = ["央行降准", "Oil prices rose"]
    first, again = StandIn(0).classify(texts), StandIn(0).classify(texts[::-1])[::-1]
    assert first == again


def test_answers_are_labels_of_the_newsroom():
    standin = StandIn(0)
    for answer in standin.classify([f"news {n}" for n in range(50)]):
        assert answer.label in standin.describe().labels
        assert answer.probability == max(answer.probabilities.values())
        assert sum(answer.probabilities.values()) == pytest.approx(1)


def test_every_label_is_answered_sometimes():
    standin = StandIn(0)
    answers = standin.classify([f"news {n}" for n in range(400)])
    assert {answer.label for answer in answers} == set(standin.describe().labels)


def test_a_stand_in_worker_loads_no_model_library():
    code = (
        "import sys; from shared.settings import Settings; from worker.engine.loading import load_engine;"
        "load_engine(Settings(model='standin', standin_seconds=0)).classify(['x']);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
