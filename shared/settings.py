"""Every setting: its name, type, default, bounds and the process that reads it."""

import re
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import SettingsError

PREFIX = "WIREDESK_"
Quantization = Literal["auto", "int8", "nf4", "bf16", "fp32"]
Network = IPv4Network | IPv6Network
Count = Annotated[int, Field(ge=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


def _number(value: object) -> object:
    """The environment has texts only."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


class Settings(BaseSettings):
    """Frozen and validated; read from the environment, then from `.env` in the working directory.

    Grouped as in `.env.example`. Every field is the variable `WIREDESK_<FIELD NAME IN CAPITALS>`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    # All processes
    data: Path = Field(
        Path("data"), description="folder for Redis's file, logs, files of batches, Flower's state"
    )
    redis_url: str = Field("", description="redis://, rediss:// or redis+socket:// URL; empty: start our own")
    key_prefix: str = Field("wiredesk:", min_length=1, description="prefix of every Redis key")

    # api
    host: str = Field("127.0.0.1", min_length=1, description="address that the api binds to")
    port: Port = Field(8000, description="port of the api")
    api_processes: int = Field(2, ge=1, le=64, description="gunicorn worker processes")
    max_waiting: Count = Field(10, description="texts that may wait in the queue; 0 refuses all")
    max_waiting_bulk: Count = Field(5, description="texts of those that may wait at bulk priority")
    overload_status: Annotated[Literal[503, 429], BeforeValidator(_number)] = Field(
        503, description="status of a refusal by a full queue: 503 or 429"
    )
    rate_per_minute: Count = Field(10, description="texts a minute per client; 0 is no limit")
    rate_per_hour: Count = Field(100, description="texts an hour over all clients; 0 is no limit")
    sync_timeout: float = Field(120, gt=0, le=3600, description="seconds that a synchronous POST waits")
    read_timeout: float = Field(
        10, gt=0, le=3600, description="seconds for a request's head to come, and then for its body"
    )
    queue_timeout: float = Field(
        86_400, gt=0, le=604_800, description="seconds after which a text that nobody began expires"
    )
    max_characters: int = Field(20_000, ge=1, description="characters per text; more is refused with 413")
    max_question_characters: int = Field(
        100_000, ge=1, description="characters of all questions of a request; more is refused with 413"
    )
    result_ttl: int = Field(3600, ge=1, description="seconds that a finished job can still be read")
    dead_letter_ttl: int = Field(604_800, ge=1, description="seconds that a failed job is kept for a retry")
    cache_ttl: Count = Field(3600, description="seconds that an answer is reused for the same text; 0: never")
    cache_bytes: Count = Field(16_000_000, description="bytes of Redis memory that reused answers may take")
    max_file_bytes: int = Field(200_000_000, ge=1, description="bytes of one uploaded file")
    files_bytes: int = Field(2_000_000_000, ge=1, description="bytes of all files of batches together")
    file_ttl: int = Field(
        2_592_000, ge=3600, le=31_536_000, description="seconds that files, and batches that ended, are kept"
    )
    max_batch_rows: int = Field(50_000, ge=1, description="requests in one batch")
    max_open_rows: Count = Field(100_000, description="requests in all open batches of a client")
    keys_file: Path | None = Field(None, description="file of API keys; empty: clients are their addresses")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="comma-separated networks whose X-Forwarded-For is believed"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated origins whose pages may call the api, or *; empty: none"
    )

    # worker
    model: str = Field(
        "models/newsroom-mini",
        min_length=1,
        description="artifact folder, openai+http://host/v1#model, or standin",
    )
    remote_artifact: Path | None = Field(None, description="tokenizer, prompt and labels of a remote model")
    remote_key: str = Field("", description="API key of a remote model's server")
    quantization: Quantization = Field("auto", description="auto, int8, nf4, bf16 or fp32")
    embedding_device: Literal["auto", "cpu"] = Field(
        "auto", description="where the token embedding is: auto or cpu"
    )
    int8_threshold: float = Field(6.0, ge=0, description="outlier threshold of int8; 0: no outliers apart")
    label_cache_bytes: Count = Field(
        268_435_456, description="bytes that label sets of requests may hold on the device"
    )
    batch_size: int = Field(3, ge=1, le=64, description="texts in one step of the engine")
    max_attempts: int = Field(3, ge=1, le=100, description="times that a text is begun before it fails")
    job_limit: float = Field(120, gt=0, le=86_400, description="seconds that one engine step may last")
    max_item_tokens: int = Field(1024, ge=16, description="tokens read of a text; more is cut")
    max_prompt_tokens: int = Field(1024, ge=16, description="tokens of a prompt that text is written after")
    max_new_tokens: int = Field(512, ge=1, description="tokens that one generation may write")
    torch_threads: Count = Field(0, description="CPU threads of the model; 0: all cores but one")
    worker_name: str = Field("", description="name of this worker; empty: from host and GPU")
    standin_seconds: float = Field(0.05, ge=0, description="duration of a stand-in step")

    # Flower
    flower_host: str = Field("127.0.0.1", min_length=1, description="address that Flower binds to")
    flower_port: Port = Field(5555, description="port of Flower")
    flower_auth: str = Field("", description="user:password for Flower; empty: generated, printed once")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        origins = tuple(part.strip().lower() for part in value.split(",") if part.strip())
        for origin in origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s*]+", origin):
                raise ValueError(f"{origin!r} is no origin; write https://host or https://host:port, or *")
        return origins

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "redis+socket://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or redis+socket://")
        return value.replace("unix://", "redis+socket://", 1)

    @field_validator("flower_auth")
    @classmethod
    def _user_and_password(cls, value: str) -> str:
        user, colon, password = value.partition(":")
        if value and not (user and colon and password):
            raise ValueError("must look like user:password")
        return value

    @property
    def broker_url(self) -> str:
        """Where Redis is: as set, else a server on this machine."""
        return self.redis_url or "redis://127.0.0.1:6379/0"

    @property
    def redis_host(self) -> str:
        """Where Redis is, without the password: for messages and logs."""
        return self.broker_url.rsplit("@", 1)[-1]

    @property
    def standin(self) -> bool:
        return self.model == "standin"


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: naming each bad variable, its value and the fix.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Mapping[str, Any]) -> str:
    field = str(problem["loc"][0])
    variable = PREFIX + field.upper()
    shown = "***" if field in ("flower_auth", "redis_url", "remote_key") else repr(problem["input"])
    reason = problem["msg"].removeprefix("Value error, ")
    description = Settings.model_fields[field].description
    return f"{variable}={shown}: {reason}. {variable} is the {description}."
