"""Whether this worker has been asked to stop."""

from celery.worker import state


def is_stopping() -> bool:
    """Celery's flags hold None, False, or the exit status, which may be 0."""
    return any(flag is not None and flag is not False for flag in (state.should_stop, state.should_terminate))
