"""Health check of the feeder: exit status 0 while one is at work (python -m api.batches.alive)."""

import sys

from redis import RedisError

from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import settings


def main() -> None:
    config = settings()
    try:
        with connect(config.broker_url, timeout=2) as redis:
            at_work = redis.exists(Keys(config.key_prefix).feeder)
    except RedisError as error:
        sys.exit(f"Redis does not answer: {type(error).__name__}")
    if not at_work:
        sys.exit("no feeder is at work")


if __name__ == "__main__":
    main()
