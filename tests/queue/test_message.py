"""Our hand-written message is what kombu itself would have written."""

import base64
import json

from kombu import Connection
from redis import Redis

from shared.celery_app import make_celery
from shared.job import TASK
from shared.message import encode_message, part_of
from shared.redis_keys import QUEUE, Keys
from shared.settings import Settings
from tests.services import PREFIX, RedisServer

VARIES = {"origin", "delivery_tag", "id", "root_id", "correlation_id", "reply_to"}


def published_by_celery(server: RedisServer, redis: Redis, keys: Keys) -> dict:
    app = make_celery(Settings(redis_url=server.url, key_prefix=PREFIX))
    app.send_task(
        TASK, args=(), kwargs={}, task_id="job_x.0", ignore_result=True, argsrepr="()", kwargsrepr="{}"
    )
    return json.loads(redis.lrange(keys.queue, 0, -1)[0])


def flat(message: dict) -> dict:
    merged = message["headers"] | message["properties"] | message["properties"]["delivery_info"]
    body = json.loads(base64.b64decode(message["body"]))
    rest = {k: v for k, v in message.items() if k not in ("headers", "properties", "body")}
    return {k: v for k, v in (merged | rest | {"body": body}).items() if k not in VARIES}


def test_the_message_equals_celerys_own(redis_server: RedisServer, redis: Redis, keys: Keys):
    theirs, ours = published_by_celery(redis_server, redis, keys), json.loads(encode_message("job_x", 0))
    assert flat(ours) == flat(theirs)
    for name in ("id", "root_id"):
        assert ours["headers"][name] == theirs["headers"][name] == "job_x.0"
    redis.delete(keys.queue)


def test_kombu_reads_our_message_and_notes_it_as_ours(redis_server: RedisServer, redis: Redis, keys: Keys):
    redis.lpush(keys.queue, encode_message("job_y", 2))
    options = {"global_keyprefix": PREFIX, "unacked_key": "unacked:n", "unacked_index_key": "unacked_index:n"}
    with Connection(redis_server.url, transport_options=options) as connection:
        channel = connection.default_channel
        message = channel.basic_get(QUEUE)
        assert message.headers["task"] == TASK
        (noted,) = redis.hvals(keys.unacked("n"))
        assert part_of(noted) == "job_y.2"
        message.ack()
    assert redis.hvals(keys.unacked("n")) == []
