"""bench.card: runs on a small shape anywhere, and says so where it has no card."""

import json
import subprocess
import sys

import pytest
import torch

from tests.services import ROOT

CARD = [sys.executable, "-m", "bench.card"]


def run(*options: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*CARD, *options], capture_output=True, text=True, check=False, cwd=ROOT, timeout=150
    )


def test_the_small_shape_runs_through_the_same_code():
    done = run("--tiny", "--types", "bf16", "--rounds", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    figures = said["types"]["bf16"]
    assert said["roofline"]["bytes_per_s"] > 0
    assert all(value > 0 for value in figures.values()), figures


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
def test_without_a_card_it_says_so():
    done = run()
    assert done.returncode == 1
    assert "no CUDA card is here" in done.stderr
