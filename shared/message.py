"""A Celery protocol-2 message in kombu's Redis envelope, built without a connection.

The admission script pushes it inside one Lua call; a test compares it with kombu's own output.
It carries ids only: the text stays in the job record.
"""

import base64
import json
import os
import socket
import uuid
from typing import Any

from shared.job import TASK, Priority, part_id
from shared.redis_keys import BULK, QUEUE

_ORIGIN = f"{os.getpid()}@{socket.gethostname()}"
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def encode_message(job_id: str, index: int, priority: Priority = "interactive", task: str = TASK) -> str:
    """The message that asks a worker to run text `index` of the job."""
    task_id = part_id(job_id, index)
    queue = BULK if priority == "bulk" else QUEUE
    body = json.dumps([[], {}, _EMBED]).encode()
    headers: dict[str, Any] = {
        "lang": "py",
        "task": task,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "group_index": None,
        "shadow": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": "{}",
        "origin": _ORIGIN,
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    properties = {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": queue},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    )


def part_of(unacked: str) -> str:
    """The part id in kombu's note of an unacknowledged message: [message, exchange, routing key]."""
    return json.loads(unacked)[0]["properties"]["correlation_id"]
