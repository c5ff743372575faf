"""The Flask application (gunicorn -c api/gunicorn.conf.py api.app:app)."""

from flask import Flask

from api import admin, inference, jobs, operations
from api.batches import batch_routes, file_routes
from api.documentation import register_documentation
from api.errors import register_error_handlers
from api.headers import register_headers
from api.service import Service
from shared.settings import Settings, settings


def create_app(config: Settings) -> Flask:
    app = Flask("api", static_folder=None)
    app.url_map.merge_slashes = False  # an answer, not a redirect
    app.config["MAX_CONTENT_LENGTH"] = largest_body(config)
    app.extensions["wiredesk"] = Service.start(config)
    app.register_blueprint(inference.routes)
    app.register_blueprint(jobs.routes)
    app.register_blueprint(file_routes.routes)
    app.register_blueprint(batch_routes.routes)
    app.register_blueprint(operations.routes)
    app.register_blueprint(admin.routes)
    register_documentation(app, keys=bool(config.keys_file))
    register_error_handlers(app)
    register_headers(app, config.cors_origins)
    app.before_request(app.extensions["wiredesk"].auth.identify)
    return app


def largest_body(config: Settings) -> int:
    """Bytes: every text at its longest, each character escaped as two \\uXXXX, and some room."""
    return 12 * config.max_characters * max(1, config.max_waiting) + 256 * 1024


def __getattr__(name: str) -> Flask:
    """`app` is made when gunicorn asks for it, not when somebody imports the module."""
    if name == "app":
        return create_app(settings())
    raise AttributeError(name)
