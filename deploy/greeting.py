"""What `make run` shows once everything is ready: the first label, and where everything is."""

from deploy.flower import AUTH_FILE
from shared.settings import Settings

NEWS = "央行宣布下调存款准备金率0.5个百分点"


def greeting(config: Settings, redis_url: str, auth: str, generated: bool) -> str:
    user, _, password = auth.partition(":")
    told = f"\n         password {password}   (shown once; kept in {config.data / AUTH_FILE})"
    flower = f"http://{reachable(config.flower_host)}:{config.flower_port}   (user {user})"
    return f"""
{NEWS}
→ {first_label(config, redis_url)}

API      {url(config)}/v1   (speaks OpenAI's API; model news-classifier)
Flower   {flower}{told if generated else ""}
Logs     {config.data / "logs"}
Stop with Ctrl-C."""


def first_label(config: Settings, redis_url: str) -> str:
    """Classified through the api's own code, the queue and the worker; takes no client's rate."""
    from api.app import create_app
    from api.schemas import CLASSIFIER

    ours = {"keys_file": None, "rate_per_minute": 0, "rate_per_hour": 0, "redis_url": redis_url}
    body = {"model": CLASSIFIER, "messages": [{"role": "user", "content": NEWS}]}
    app = create_app(config.model_copy(update=ours))
    response = app.test_client().post("/v1/chat/completions", json=body)
    answer = response.get_json()
    if response.status_code != 200:
        return answer["detail"]
    probability = answer["classification"]["probability"]
    return f"{answer['choices'][0]['message']['content']}   (p = {probability:.2f})"


def url(config: Settings) -> str:
    return f"http://{reachable(config.host)}:{config.port}"


def reachable(host: str) -> str:
    """How a client on this machine writes the address that a process binds to."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{here}]" if ":" in here else here
