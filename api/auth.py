"""Who the caller is: by key where there is a key file, else by address. Asked once for each request."""

import math

from flask import g, request
from redis import Redis

from api.clients import Client, client_id
from api.errors import ApiError
from api.keyring import Keyring
from shared.keys import Key
from shared.redis_client import read_script
from shared.redis_keys import Keys
from shared.settings import Settings

WRONG_KEYS, WINDOW_MS = 10, 60_000  # attempts of one address
PROBES = {"operations.health", "operations.ready"}  # carry no key, nor does OPTIONS
PAGES = {"documentation.describe", "documentation.show", "documentation.show_part"}  # say what is public
OPEN = PROBES | PAGES


class Auth:
    """Finds the client of a request.

    Raises:
        SettingsError: WIREDESK_KEYS_FILE cannot be used.
    """

    def __init__(self, redis: Redis, keys: Keys, config: Settings):
        self._config = config
        self._redis_keys = keys
        self._keyring = Keyring(config.keys_file) if config.keys_file else None
        self._count_wrong_key = redis.register_script(read_script(__file__, "wrong_key.lua"))

    def identify(self) -> None:
        """Before each request: `caller()` answers from now on.

        Raises:
            ApiError: 401, no key or a wrong one; 429, too many wrong ones from this address.
        """
        if request.endpoint and request.endpoint not in OPEN and request.method != "OPTIONS":
            g.client = self._by_key() if self._keyring else self._by_address()

    def _by_address(self) -> Client:
        return Client(id=self._address(), rate_per_minute=self._config.rate_per_minute)

    def _address(self) -> str:
        forwarded_for = ",".join(request.headers.getlist("X-Forwarded-For"))
        return client_id(request.remote_addr or "", forwarded_for, self._config.trusted_proxies)

    def _by_key(self) -> Client:
        assert self._keyring is not None
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer" or not secret.strip():
            raise _unauthorised("Send your API key as 'Authorization: Bearer wd_…'.")
        key = self._keyring.holder(secret.strip())
        if key is None:
            self._refuse_too_many()
            raise _unauthorised("This API key is unknown or was revoked; ask your operator for another.")
        return self._client(key)

    def _client(self, key: Key) -> Client:
        minute = self._config.rate_per_minute if key.rate_per_minute is None else key.rate_per_minute
        return Client(
            id=f"key:{key.name}",  # no address looks like this
            rate_per_minute=minute,
            rate_per_hour=key.rate_per_hour,
            priority=key.priority,
            admin=key.admin,
        )

    def _refuse_too_many(self) -> None:
        window = self._redis_keys.window_auth(self._address())
        wait = math.ceil(self._count_wrong_key([window], [WRONG_KEYS, WINDOW_MS]) / 1000)
        if wait:
            message = f"Too many wrong API keys from your address; retry in {wait} s with the right one."
            raise ApiError(429, "too_many_wrong_keys", message, headers={"Retry-After": str(wait)})


def caller() -> Client:
    """Who sends the request that is being handled."""
    return g.client


def require_admin() -> Client:
    """The caller, who must be an operator.

    Raises:
        ApiError: 403, the key is no admin key, or there are no keys.
    """
    if not caller().admin:
        message = "An admin key is needed: python -m shared.keys new --name ops --admin"
        raise ApiError(403, "admin_key_needed", message)
    return caller()


def _unauthorised(message: str) -> ApiError:
    return ApiError(401, "invalid_api_key", message, headers={"WWW-Authenticate": "Bearer"})
