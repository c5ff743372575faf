"""Health check of this host's worker: exit status 0 once its model is loaded (python -m worker.alive)."""

import sys

from redis import RedisError

from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import settings
from worker.presence import is_ready, node_name


def main() -> None:
    config = settings()
    try:
        ready = is_ready(connect(config.broker_url, timeout=2), Keys(config.key_prefix), node_name(config))
    except RedisError as error:
        sys.exit(f"Redis does not answer: {type(error).__name__}")
    if not ready:
        sys.exit("the worker has no model loaded yet")


if __name__ == "__main__":
    main()
