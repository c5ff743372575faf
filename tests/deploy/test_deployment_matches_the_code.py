"""Procfile, the supervisor's configuration, docker-compose.yml and the code name the same things."""

import re
from configparser import RawConfigParser
from typing import Any

import pytest
import yaml

from deploy.supervisor import configuration, processes
from shared.settings import PREFIX, Settings
from tests.services import ROOT

OF_COMPOSE = {"WIREDESK_WHEELS"}
"""Variables of docker-compose.yml that no process reads."""
OF_HTTP = {
    "host",
    "port",
    "api_processes",
    "keys_file",
    "trusted_proxies",
    "cors_origins",
    "read_timeout",
}
"""Settings of the api's connections, which the feeder has not."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def services(compose) -> dict[str, Any]:
    return compose["services"]


@pytest.fixture
def supervisor() -> RawConfigParser:
    parser = RawConfigParser()
    parser.read_string(configuration(Settings(_env_file=None), ROOT, own_redis=True))
    return parser


def procfile() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def test_all_name_the_same_processes(services, supervisor):
    supervised = {name.removeprefix("program:") for name in supervisor.sections() if "program:" in name}
    assert supervised == set(procfile()) == {name.removesuffix("-cpu") for name in services}


def test_the_supervisor_runs_the_procfiles_commands(supervisor):
    for name, command in procfile().items():
        program = command.removeprefix("python ")
        assert supervisor[f"program:{name}"]["command"].endswith(program.removeprefix("gunicorn "))


def test_redis_starts_first_and_stops_last_the_api_the_other_way_round():
    config = Settings(_env_file=None)
    assert list(processes(config, own_redis=True)) == ["redis", "worker", "flower", "feeder", "api"]
    assert "redis" not in processes(config, own_redis=False)


def test_every_process_is_restarted_and_has_time_to_finish(services, supervisor):
    for name in procfile():
        assert supervisor[f"program:{name}"]["autorestart"] == "true"
    assert all(service["restart"] == "unless-stopped" for service in services.values())
    waits = Settings(_env_file=None).sync_timeout
    assert int(supervisor["program:api"]["stopwaitsecs"]) > waits
    assert seconds(services["api"]["stop_grace_period"]) > waits
    assert seconds(services["worker"]["stop_grace_period"]) > waits


def test_every_service_has_a_health_check_and_publishes_to_this_machine_only(services):
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_worker_comes_with_a_gpu_or_without(services):
    assert services["worker"]["profiles"] == ["gpu"]
    assert services["worker-cpu"]["profiles"] == ["cpu"]
    devices = services["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices[0]["capabilities"] == ["gpu"]
    assert "deploy" not in services["worker-cpu"]


def test_containers_get_every_setting_and_no_unknown_one(services):
    passed = {name for service in services.values() for name in service.get("environment", {})}
    assert passed == {PREFIX + name.upper() for name in Settings.model_fields}


def test_api_and_feeder_work_on_the_same_files(services):
    for name in ("api", "feeder"):
        assert "batch-files:/data" in services[name]["volumes"]
        assert services[name]["environment"]["WIREDESK_DATA"] == "/data"


def test_a_container_takes_each_setting_from_the_variable_of_that_name(services):
    """Empty means the default, so none is repeated here."""
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if "${" in str(value):
                assert re.match(rf"\$\{{{variable}(:-\}}|:\?)", value), (name, variable)


def test_compose_reads_no_variable_that_nobody_documents():
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    documented = {PREFIX + name.upper() for name in Settings.model_fields} | OF_COMPOSE
    assert read <= documented


@pytest.mark.parametrize(
    "name, folders",
    [("api", ["api", "shared"]), ("feeder", ["api", "shared"]), ("worker", ["worker", "shared"])],
)
def test_a_container_gets_every_setting_that_its_code_reads(services, name, folders):
    known = set(Settings.model_fields)
    sources = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    read = {word for text in sources for word in re.findall(r"config\.([a-z_]+)", text)} & known
    passed = {variable.removeprefix(PREFIX).lower() for variable in services[name]["environment"]}
    assert read - (OF_HTTP if name == "feeder" else set()) <= passed


def test_images_install_what_the_requirements_say_and_copy_folders_that_exist():
    for name in ("api", "worker"):
        text = (ROOT / f"deploy/{name}.Dockerfile").read_text()
        sources = re.findall(r"^COPY ([^$].*) \S+$", text, re.MULTILINE)
        assert all((ROOT / source).exists() for line in sources for source in line.split())
        assert text.rindex("USER wiredesk") > text.rindex("RUN ")


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))
