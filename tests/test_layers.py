"""The api stays thin: importing it loads no model library and nothing of the worker."""

import subprocess
import sys

from tests.services import ROOT

HEAVY = ("torch", "transformers", "bitsandbytes", "worker", "pipeline", "numpy")


def test_importing_the_api_loads_no_model_stack():
    program = (
        "import sys; from api.app import create_app; from shared.settings import Settings;"
        "create_app(Settings());"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_stand_in_worker_loads_no_torch():
    program = (
        "import sys; import worker.__main__; from worker.engine.loading import load_engine;"
        "from shared.settings import Settings; load_engine(Settings(model='standin'));"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
