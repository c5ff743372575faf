"""Messages by the batch: kombu takes and acknowledges one at a time, at two round trips each.

Works on the same keys and the same bookkeeping as kombu's channel, which stays the owner.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any

from kombu.transport.virtual import QoS
from redis import Redis, RedisError

from shared.job import GENERATE
from shared.redis_client import read_script
from shared.redis_keys import BULK, QUEUE, Keys

log = logging.getLogger(__name__)

ROUTES = [f', "", "{queue}"' for queue in (QUEUE, BULK)]
STEPS_WITHOUT_BULK = 7  # then a bulk text goes first, so that it gets every eighth step


class Peers:
    """Takes messages that already wait, and strikes off those that are done."""

    def __init__(self, redis: Redis, keys: Keys, node: str):
        self._script = redis.register_script(read_script(__file__, "take.lua"))
        self._names = [keys.queue, keys.bulk, keys.unacked(node), keys.unacked_index(node)]
        self._done: list[str] = []
        self._steps_without_bulk = 0

    @property
    def bulk_is_due(self) -> bool:
        return self._steps_without_bulk >= STEPS_WITHOUT_BULK

    def note_step(self, queues: Iterable[str]) -> None:
        """A step has taken texts from these queues."""
        self._steps_without_bulk = 0 if BULK in queues else self._steps_without_bulk + 1

    def acknowledge(self, message: Any) -> None:
        """Its outcome is stored: the next `take` strikes it off."""
        QoS.ack(message.channel.qos, message.delivery_tag)
        message._state = "ACK"
        self._done.append(message.delivery_tag)

    def take(self, most: int, rows: int, channel: Any) -> list[Any]:
        """Up to `most` waiting messages, oldest first, noted as unacknowledged by this node.

        At most `rows` of them ask for text; one for which no row is free does not hold up what is behind it.
        Interactive ones come before bulk, except that a bulk text is never passed over for eight steps.
        None while Redis fails: what is in hand runs without peers, and what is done is struck off by
        the next give-back.
        """
        done, self._done = self._done, []
        try:
            taken = self._script(self._names, [most, rows, int(self.bulk_is_due), GENERATE, *ROUTES, *done])
        except RedisError as error:
            log.warning("no peers taken, %d texts not struck off: %s", len(done), type(error).__name__)
            return []
        messages = [channel.Message(json.loads(raw), channel=channel) for raw in taken]
        for message in messages:
            QoS.append(channel.qos, message, message.delivery_tag)
        return messages
