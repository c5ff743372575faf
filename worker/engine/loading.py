"""Which engine a worker serves."""

import logging

from shared.settings import Settings
from worker.engine.protocol import Engine
from worker.engine.standin import StandIn

log = logging.getLogger(__name__)


def load_engine(config: Settings) -> Engine:
    """The stand-in when asked for by name, a remote server at an address, else the model of the folder.

    Raises:
        ArtifactError: it cannot be served; says which file and why.
    """
    if config.standin:
        log.warning("serving the stand-in: its answers mean nothing")
        return StandIn(config.standin_seconds)
    if config.model.startswith("openai+"):
        from worker.engine.remote import RemoteEngine

        return RemoteEngine.load(config)
    from worker.engine.transformers_engine import TransformersEngine

    return TransformersEngine.load(config)
