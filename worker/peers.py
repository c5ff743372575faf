"""Messages by the batch: kombu takes and acknowledges one at a time, at two round trips each.

Works on the same keys and the same bookkeeping as kombu's channel, which stays the owner.
"""

import json
import logging
from typing import Any

from kombu.transport.virtual import QoS
from redis import Redis, RedisError

from shared.redis_client import read_script
from shared.redis_keys import QUEUE, Keys

log = logging.getLogger(__name__)

ROUTE = f', "", "{QUEUE}"'


class Peers:
    """Takes messages that already wait, and strikes off those that are done."""

    def __init__(self, redis: Redis, keys: Keys, node: str):
        self._script = redis.register_script(read_script(__file__, "take.lua"))
        self._names = [keys.queue, keys.unacked(node), keys.unacked_index(node)]
        self._done: list[str] = []

    def acknowledge(self, message: Any) -> None:
        """Its outcome is stored: the next `take` strikes it off."""
        QoS.ack(message.channel.qos, message.delivery_tag)
        message._state = "ACK"
        self._done.append(message.delivery_tag)

    def take(self, most: int, channel: Any) -> list[Any]:
        """Up to `most` waiting messages, oldest first, noted as unacknowledged by this node.

        None while Redis fails: what is in hand runs without peers, and what is done is struck off by
        the next give-back.
        """
        done, self._done = self._done, []
        try:
            taken = self._script(self._names, [most, ROUTE, *done])
        except RedisError as error:
            log.warning("no peers taken, %d texts not struck off: %s", len(done), type(error).__name__)
            return []
        messages = [channel.Message(json.loads(raw), channel=channel) for raw in taken]
        for message in messages:
            QoS.append(channel.qos, message, message.delivery_tag)
        return messages
