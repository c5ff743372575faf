"""The Celery application: broker, queue and every setting that makes LLEN the truth."""

from celery import Celery
from kombu import Queue

from shared.redis_keys import BULK, QUEUE, Keys
from shared.settings import Settings, settings


def broker_options(config: Settings) -> dict:
    return {
        "global_keyprefix": config.key_prefix,
        # Ownership (unacked:<node>) replaces time-outs: a long job is never given to a second worker.
        "visibility_timeout": 10**9,
        "priority_steps": [0],  # one list per queue: an exact LLEN
        "queue_order_strategy": "priority",  # an idle worker looks at the interactive queue first
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": not config.redis_url.startswith("redis+socket"),
        "health_check_interval": 10,
        "client_name": "wiredesk-worker",
    }


def owned_by(node: str, config: Settings) -> dict:
    """Transport options of a worker, whose unacknowledged messages stand under its own name."""
    mine = {
        "unacked_key": f"unacked:{node}",
        "unacked_index_key": f"unacked_index:{node}",
        "unacked_mutex_key": f"unacked_mutex:{node}",
    }
    return broker_options(config) | mine


def make_celery(config: Settings) -> Celery:
    app = Celery("wiredesk")
    app.conf.update(
        broker_url=config.broker_url,
        broker_transport_options=broker_options(config),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a full or loading Redis must not end the worker
        result_backend=None,  # results live in our own job record
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=QUEUE,
        task_queues=[Queue(QUEUE, routing_key=QUEUE), Queue(BULK, routing_key=BULK)],
        task_create_missing_queues=False,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=True,
        worker_pool="solo",
        worker_concurrency=1,
        worker_prefetch_multiplier=1,  # with solo: unacknowledged = running, waiting = LLEN
        worker_send_task_events=True,
        task_send_sent_event=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        event_queue_ttl=5,
        event_queue_expires=60,
        control_queue_expires=10,
        enable_utc=True,
        timezone="UTC",
    )
    return app


app = make_celery(settings())
keys = Keys(settings().key_prefix)
