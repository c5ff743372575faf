"""One log format for every process. Texts of news, prompts and keys are never logged."""

import logging
import sys


def set_up_logging() -> None:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
