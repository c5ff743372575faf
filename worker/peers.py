"""Messages by the batch: kombu takes and acknowledges one at a time, at two round trips each.

Works on the same keys and the same bookkeeping as kombu's channel, which stays the owner.
"""

import json
import logging
from collections.abc import Sequence
from typing import Any

from kombu.transport.virtual import QoS
from redis import Redis, RedisError

from shared.keys import QUEUE, Keys
from shared.redis_client import read_script

log = logging.getLogger(__name__)

ROUTE = f', "", "{QUEUE}"'


class Peers:
    """Takes messages that already wait, and acknowledges those that are done."""

    def __init__(self, redis: Redis, keys: Keys, node: str):
        self._redis = redis
        self._keys = keys
        self._node = node
        self._take = redis.register_script(read_script(__file__, "take.lua"))

    def take(self, most: int, channel: Any) -> list[Any]:
        """Up to `most` waiting messages, oldest first, noted as unacknowledged by this node.

        None while Redis fails: what is in hand runs without peers.
        """
        keys = self._keys
        names = [keys.queue, keys.unacked(self._node), keys.unacked_index(self._node)]
        messages = [
            channel.Message(json.loads(raw), channel=channel) for raw in self._take(names, [most, ROUTE])
        ]
        for message in messages:
            QoS.append(channel.qos, message, message.delivery_tag)
        return messages

    def acknowledge(self, messages: Sequence[Any]) -> None:
        """Strike the messages off; after a failure of Redis the next give-back does it."""
        tags = [message.delivery_tag for message in messages]
        for message, tag in zip(messages, tags, strict=True):
            QoS.ack(message.channel.qos, tag)
            message._state = "ACK"
        if tags:
            pipe = self._redis.pipeline(transaction=False)
            pipe.hdel(self._keys.unacked(self._node), *tags)
            pipe.zrem(self._keys.unacked_index(self._node), *tags)
            try:
                pipe.execute()
            except RedisError as error:
                log.warning("%d texts not struck off: %s", len(tags), type(error).__name__)
