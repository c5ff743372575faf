"""What every route needs, made once per process: settings, Redis clients, admission, jobs, models."""

import time
from dataclasses import dataclass

from flask import current_app
from redis import Redis

from api.admission import Admission
from api.auth import Auth
from api.batches.files import Files
from api.batches.store import Batches
from api.models import Models
from api.records import Jobs
from api.waiting import SLICE
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings

COMMAND_TIMEOUT = 0.8  # seconds: with a frozen Redis a request must be refused within one
CONNECTIONS = 4096  # one for each request under way; gunicorn bounds these


@dataclass(frozen=True)
class Service:
    config: Settings
    keys: Keys
    redis: Redis
    auth: Auth
    admission: Admission
    jobs: Jobs
    models: Models
    files: Files
    batches: Batches

    @classmethod
    def start(cls, config: Settings) -> "Service":
        keys = Keys(config.key_prefix)
        commands = connect(config.broker_url, timeout=COMMAND_TIMEOUT, connections=CONNECTIONS)
        waits = connect(config.broker_url, timeout=SLICE + COMMAND_TIMEOUT, connections=CONNECTIONS)
        return cls(
            config=config,
            keys=keys,
            redis=commands,
            auth=Auth(commands, keys, config),
            admission=Admission(commands, keys, config),
            jobs=Jobs(commands, waits, keys, config),
            models=Models(commands, keys),
            files=Files(commands, keys, config),
            batches=Batches(commands, keys, config),
        )

    @staticmethod
    def now() -> int:
        return int(time.time())


def service() -> Service:
    """The service of the app that handles this request."""
    return current_app.extensions["wiredesk"]
