"""Generated requests, right and wrong, to a real api and a stand-in worker: is every answer documented?

python -m bench.fuzz [--cases 10000] [--seed 1]     all of schemathesis' checks; exit status 1 with findings
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from bench.processes import private_redis, wiredesk
from shared.keys import new_key

PHASES = ("examples", "coverage", "fuzzing", "stateful")
STATUSES = {
    "positive_data_acceptance": ["2xx", "400", "403", "404", "409", "413", "422", "429", "503", "504"],
    "negative_data_rejection": ["4xx", "503", "504"],
    "not_a_server_error": ["2xx", "3xx", "4xx", "503", "504"],
}
"""400 to a request that fits its schema: what the model or another field decides (labels for a model that has
its own, top_logprobs without logprobs, a prompt that is too long)."""

UPLOAD = {
    "include-path": "/v1/files",
    "include-method": "POST",
    "checks": {"negative_data_rejection": {"enabled": False}},
}
"""A form has no types: a list without entries is left out when it is written, and nothing wrong is sent."""
EXPECTED = {("ignored_auth", 429)}
"""After ten wrong keys of an address, which that check sends, the eleventh is not looked at."""


@dataclass
class Findings:
    """What the generated requests have shown."""

    cases: int = 0
    statuses: Counter = field(default_factory=Counter)
    operations: Counter = field(default_factory=Counter)
    checks: Counter = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, recorder: Any) -> None:
        for case, interaction in recorder.interactions.items():
            self.cases += 1
            self.operations[recorder.cases[case].value.operation.label] += 1
            status = interaction.response.status_code if interaction.response else 0
            self.statuses[status] += 1
            for check in recorder.checks.get(case, ()):
                self.checks[check.name] += 1
                if check.status == Status.FAILURE and (check.name, status) not in EXPECTED:
                    self._keep(check)

    def summary(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "checks": dict(sorted(self.checks.items())),
            "failures": len(self.failures),
        }

    def _keep(self, check: Any) -> None:
        failure = check.failure_info.failure
        self.failures.setdefault(
            f"{failure.operation}: {failure.title}", f"{failure.message}\n{check.failure_info.code_sample}"
        )


def fuzz(url: str, key: str, cases: int, seed: int, phases: Sequence[str] = PHASES) -> Findings:
    """So many requests or more, spread over all operations."""
    document = narrowed(fetch(f"{url}/openapi.json", key), fetch(f"{url}/v1/models", key))
    findings, round_ = Findings(), 0
    while findings.cases < cases:
        per_operation = max(1, (cases - findings.cases) // 20)
        schema = schemathesis.openapi.from_dict(
            document, config=config(url, key, per_operation, seed + round_, phases)
        )
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                findings.take(event.recorder)
            elif isinstance(event, events.NonFatalError):
                findings.failures[str(event.label)] = str(event.info)
            elif isinstance(event, events.FatalError):
                raise event.exception
        round_ += 1
    return findings


def config(url: str, key: str, per_operation: int, seed: int, phases: Sequence[str]) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "base-url": url,
            "seed": seed,
            "headers": {"Authorization": f"Bearer {key}"},
            "continue-on-failure": True,
            "request-timeout": 60,
            "phases": {name: {"enabled": name in phases} for name in PHASES},
            "generation": {"max-examples": per_operation, "database": "none", "mode": "all"},
            "suppress-health-check": ["all"],
            "checks": {name: {"expected-statuses": statuses} for name, statuses in STATUSES.items()},
            "operations": [UPLOAD],
        }
    )


def narrowed(document: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """With the ids of models that are there, and one that is not: else hardly any would be answered."""
    ids = [model["id"] for model in models["data"]]
    for schema in document["components"]["schemas"].values():
        fields = schema.get("properties", {})
        if "priority" in fields and "model" in fields:
            fields["model"] = {"enum": [*ids, "nobody"]}
    return document


def fetch(url: str, key: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=10_000, help="requests, at least")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with private_redis() as redis, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.jsonl"
        key = new_key(path, "fuzz", rate_per_minute=0)
        with wiredesk(redis, 0.0, keys_file=path, data=folder, sync_timeout=20, max_new_tokens=16) as port:
            findings = fuzz(f"http://127.0.0.1:{port}", key, asked.cases, asked.seed)
    for what, how in findings.failures.items():
        print(f"\n## {what}\n{how}")
    print(f"\n{'requests':>8}  operation")
    for operation, count in sorted(findings.operations.items()):
        print(f"{count:>8}  {operation}")
    print(
        json.dumps(
            findings.summary()
            | {"bench": "fuzz", "seed": asked.seed, "seconds": round(time.monotonic() - began)}
        )
    )
    sys.exit(1 if findings.failures else 0)


if __name__ == "__main__":
    main()
