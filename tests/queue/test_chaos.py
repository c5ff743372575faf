"""Every kind of fault under load, for half a minute (python -m bench.chaos does it for longer)."""

from pathlib import Path

from bench.chaos import BROKEN_PROMISES, over_admission, plan, run
from bench.faults import ALL


def test_no_fault_loses_a_job_leaves_one_open_or_changes_what_was_seen(tmp_path: Path):
    figures = run(tmp_path, plan(20, seed=7), clients=5, freeze=2, seed=7)
    assert figures["kinds"] == len(ALL)
    assert {name: figures.get(name, 0) for name in BROKEN_PROMISES} == dict.fromkeys(BROKEN_PROMISES, 0)
    assert figures["accepted"] > 50
    assert set(figures["failed_because"]) <= {"engine_failure", "time_limit", "worker_lost"}


def test_eight_processes_at_once_admit_no_text_too_many():
    figures = over_admission(4_000)
    assert figures["submits"] == 4_000
    assert figures["over_admitted"] == 0
    assert figures["admitted"] > 100
