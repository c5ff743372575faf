"""Who this worker is: its node name, the claim on it, and what it publishes about its model."""

import json
import logging
import os
import secrets
import socket
import time
from dataclasses import asdict

from redis import Redis

from shared.description import Description
from shared.errors import WiredeskError
from shared.redis_keys import ALIVE_TTL_MS, DESCRIPTION_TTL, Keys
from shared.settings import Settings

log = logging.getLogger(__name__)


class NodeNameTaken(WiredeskError):
    """Another live worker has this node name."""


def node_name(config: Settings) -> str:
    """One name per host and GPU, so that workers scale without naming them by hand."""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    name = config.worker_name or ("worker" if not gpu else f"gpu{gpu.replace(',', '-')}")
    return name if "@" in name else f"{name}@{socket.gethostname()}"


class Presence:
    """The claim of this process on its node name, refreshed by `beat`."""

    def __init__(self, redis: Redis, keys: Keys, node: str):
        self.node = node
        self._redis = redis
        self._keys = keys
        self._token = secrets.token_hex(8)
        self._description: Description | None = None

    def claim(self, patience: float = 2 * ALIVE_TTL_MS / 1000) -> None:
        """Take the node name, waiting out the claim of a dead predecessor.

        Raises:
            NodeNameTaken: a live worker keeps refreshing it.
        """
        alive, deadline = self._keys.alive(self.node), time.monotonic() + patience
        while not self._redis.set(alive, self._token, px=ALIVE_TTL_MS, nx=True):
            if time.monotonic() > deadline:
                raise NodeNameTaken(
                    f"a worker named {self.node} is already running; "
                    "give this one another name with WIREDESK_WORKER_NAME"
                )
            time.sleep(0.1)
        self._redis.sadd(self._keys.workers, self.node)

    def publish(self, description: Description) -> None:
        """Tell the api what this worker serves; from now on it counts as ready."""
        self._description = description
        self.beat()

    def beat(self) -> None:
        """Refresh the claim and the description.

        Raises:
            NodeNameTaken: this process was frozen for longer than its claim, and has a successor.
        """
        if self._redis.get(self._keys.alive(self.node)) not in (None, self._token):
            raise NodeNameTaken(f"another process took over as {self.node} while this one was frozen")
        pipe = self._redis.pipeline(transaction=False)
        pipe.set(self._keys.alive(self.node), self._token, px=ALIVE_TTL_MS)
        pipe.sadd(self._keys.workers, self.node)
        if self._description:
            published = asdict(self._description) | {"node": self.node, "token": self._token}
            pipe.set(self._keys.worker(self.node), json.dumps(published), ex=DESCRIPTION_TTL)
        pipe.execute()

    def release(self) -> None:
        """Give the node name back, so that a successor need not wait."""
        self._redis.delete(self._keys.alive(self.node))


def is_ready(redis: Redis, keys: Keys, node: str) -> bool:
    """Whether the live process of that name has loaded its model."""
    token, published = redis.mget(keys.alive(node), keys.worker(node))
    return bool(token and published and json.loads(published)["token"] == token)
