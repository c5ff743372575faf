"""Wires the worker together: Celery's app, the task, the batching strategy and the give-back step."""

from typing import Any

from celery import Celery, bootsteps

from shared.celery_app import app, owned_by
from shared.errors import ItemError
from shared.job import GENERATE, TASK
from shared.settings import Settings
from worker.batching import Batch
from worker.peers import Peers
from worker.recovery import Recovery
from worker.steps import Steps


def make_worker(config: Settings, node: str, steps: Steps, recovery: Recovery, peers: Peers) -> Celery:
    """The Celery app of a worker process that owns `node`."""
    app.conf.broker_transport_options = owned_by(node, config)
    batch = Batch(peers, config.batch_size, steps)

    def handle(self: Any) -> None:
        """The body of both tasks. A text that failed is stored as such; Celery reports the failure too."""
        if error := batch.join(self.request.id):
            raise ItemError(error)

    for task in (TASK, GENERATE):
        app.task(bind=True, name=task, throws=(ItemError,), Strategy=batch.strategy)(handle)

    class GiveBack(bootsteps.StartStopStep):
        """At every (re)connect, what this node had in hand goes back to the queue first."""

        requires = ("celery.worker.consumer.connection:Connection",)

        def start(self, _: Any) -> None:
            recovery.give_back_own()

    app.steps["consumer"].add(GiveBack)
    return app
