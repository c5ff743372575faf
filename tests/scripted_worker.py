"""A real worker whose model is a fake that does what the text says (python -m tests.scripted_worker).

fail …   the engine step raises        die …    the process is killed in the step
gate …   the step lasts until the test opens the gate (list `gate`)
paced …  the step lasts WIREDESK_STANDIN_SECONDS
Every step notes its number of texts in the list `steps`.
"""

import os
import signal
import time
from collections.abc import Sequence

from shared.description import Description
from shared.redis_client import connect
from shared.settings import Settings
from worker.__main__ import run
from worker.engine.protocol import Classification

LABELS = ("货币政策", "其他")


class ScriptedEngine:
    def __init__(self, config: Settings):
        self._pace = config.standin_seconds
        self._redis = connect(config.broker_url, timeout=60)

    def classify(self, texts: Sequence[str]) -> list[Classification]:
        self._redis.rpush("steps", len(texts))
        if any(text.startswith("die") for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(text.startswith("gate") for text in texts):
            self._redis.blmove("gate", "gate", 30, "LEFT", "LEFT")
        if any(text.startswith("paced") for text in texts):
            time.sleep(self._pace)
        if any(text.startswith("fail") for text in texts):
            raise RuntimeError(f"cannot read {texts}")
        return [self._answer(text) for text in texts]

    def describe(self) -> Description:
        return Description(
            name="scripted", revision="1", labels=LABELS, device="cpu", quantization="none", memory_bytes=0
        )

    def _answer(self, text: str) -> Classification:
        label = LABELS[len(text) % 2]
        probabilities = {name: 0.75 if name == label else 0.25 for name in LABELS}
        return Classification(label, probabilities, 0.9, False, f"这条新闻属于：{label}", len(text), 2)


if __name__ == "__main__":
    run(ScriptedEngine)
