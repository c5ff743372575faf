"""Starts a worker: claim the node name, load the model, serve the queue (python -m worker)."""

import logging
import sys
from collections.abc import Callable

from redis import RedisError
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from shared.errors import WiredeskError
from shared.logs import set_up_logging
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings, settings
from worker.app import make_worker
from worker.classify import Classifier
from worker.engine.loading import load_engine
from worker.engine.protocol import Engine
from worker.generations import Generations
from worker.heartbeat import Heartbeat
from worker.jobs import Jobs
from worker.limit import Limit
from worker.peers import Peers
from worker.presence import Presence, node_name
from worker.recovery import Recovery
from worker.sidekick import Sidekick
from worker.steps import Steps
from worker.watch import Watch

log = logging.getLogger("worker")


def main(load: Callable[[Settings], Engine] = load_engine) -> None:
    config = settings()
    keys, node = Keys(config.key_prefix), node_name(config)
    # A Redis restart of a few seconds must not fail the texts in hand.
    redis = connect(config.broker_url, timeout=3, retry=Retry(ConstantBackoff(0.2), 25))
    presence = Presence(redis, keys, node)
    presence.claim()
    jobs, watch = Jobs(redis, config), Watch()
    recovery = Recovery(redis, keys, jobs, node)
    sidekick = Sidekick(presence, recovery, Limit(watch, jobs, config.job_limit), Heartbeat(node, watch))
    sidekick.start()
    engine = load(config)
    presence.publish(engine.describe())
    log.info("%s serves %s", node, engine.describe().name)
    classifier = Classifier(engine, jobs, watch)
    generations = Generations(engine, jobs, watch, config.batch_size)
    steps = Steps(jobs, classifier, generations, node, config.max_attempts)
    celery = make_worker(config, node, steps, recovery, Peers(redis, keys, node))
    try:
        celery.worker_main(
            [
                "worker",
                "--pool=solo",
                f"--hostname={node}",
                "--without-gossip",
                "--without-mingle",
                "--loglevel=INFO",
            ]
        )
    finally:
        sidekick.stop()
        presence.release()


def run(load: Callable[[Settings], Engine] = load_engine) -> None:
    """`main`, with one clear line instead of a traceback for what an operator can mend."""
    set_up_logging()
    try:
        main(load)
    except WiredeskError as error:
        sys.exit(f"worker: {error}")
    except RedisError as error:
        sys.exit(f"worker: Redis does not answer at {settings().redis_host}: {type(error).__name__}")


if __name__ == "__main__":
    run()
