"""Dockerfile, compose.yaml and what belongs to them say what platform.md 14 asks, without a container engine."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from application.settings import REGISTRY, load
from entrypoints.cli.commands import COMMANDS
from tests.deployment.compose import ROOT, composition, engine_environment

SECRETS = {
    "JWT_SECRET": "a JWT secret of 32 bytes or more, 1234",
    "DEFARM_SECRET_KEY": "a root key of 32 bytes or more, 56789",
    "POSTGRES_PASSWORD": "a-password-that-nobody-knows",
}
ENGINES = ("migrate", "api1", "api2")


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    return composition(SECRETS)


@pytest.fixture(scope="module")
def image() -> list[tuple[str, str]]:
    """The instructions of the last stage of the Dockerfile."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(at for at, line in enumerate(lines) if line[0] == "FROM")
    return [(line[0], line[1]) for line in lines[last:]]


def test_only_the_proxy_is_reachable_from_outside(parts: dict[str, Any]) -> None:
    assert [name for name, service in parts["services"].items() if "ports" in service] == ["proxy"]
    assert parts["networks"]["inside"]["internal"] is True
    assert all(service["networks"] == ["inside"] for name, service in parts["services"].items() if name != "proxy")


def test_every_image_is_named_with_its_version(parts: dict[str, Any]) -> None:
    foreign = {name: service["image"] for name, service in parts["services"].items() if name not in ENGINES}
    assert all(re.search(r":\d", image) for image in foreign.values()), foreign


def test_redis_keeps_nothing_and_lets_values_go_before_marks(parts: dict[str, Any]) -> None:
    command = parts["services"]["redis"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--save"] == "" and options["--appendonly"] == "no"
    assert options["--maxmemory-policy"] == "volatile-lru" and options["--maxmemory"]
    assert "volumes" not in parts["services"]["redis"]


def test_the_database_outlives_its_container(parts: dict[str, Any]) -> None:
    volume, _, place = parts["services"]["postgres"]["volumes"][0].partition(":")
    assert volume in parts["volumes"] and place == "/var/lib/postgresql"


def test_nobody_starts_before_what_it_needs(parts: dict[str, Any]) -> None:
    services = parts["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["migrate"]["restart"] == "no" and services["migrate"]["command"] == ["migrate"]
    for name in ("api1", "api2"):
        assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert services[name]["depends_on"]["redis"] == {"condition": "service_healthy"}
        assert services[name]["environment"]["DEFARM_MIGRATE_ON_START"] == "false"
    assert all("healthcheck" in services[name] for name in ("postgres", "redis", "api1", "api2"))


@pytest.mark.parametrize("service", ENGINES)
def test_the_settings_of_an_engine_are_known_and_complete(parts: dict[str, Any], service: str, tmp_path: Path) -> None:
    environment = engine_environment(parts, service, SECRETS, tmp_path)
    known = {setting.name for setting in REGISTRY}
    assert {name.removesuffix("_FILE") for name in environment} <= known
    settings = load(environment)
    assert not settings.warnings
    assert settings.storage == "redis_cached"
    assert settings.database_url == "postgresql://defarm:a-password-that-nobody-knows@postgres:5432/defarm"


def test_no_secret_stands_in_a_file_or_in_the_environment_of_a_container(parts: dict[str, Any]) -> None:
    environments = repr([service.get("environment") for service in parts["services"].values()])
    assert not [secret for secret in SECRETS.values() if secret in environments]
    assert {secret["environment"] for secret in parts["secrets"].values()} == set(SECRETS)


def test_without_defarm_init_the_start_says_what_is_missing() -> None:
    with pytest.raises(LookupError, match="run defarm init first"):
        composition({})


def test_an_instance_is_given_time_to_stop(parts: dict[str, Any]) -> None:
    settings = load({"DEFARM_STORAGE": "memory"}, local_secret=lambda *_: "s" * 40)
    least = settings.drain_delay + settings.shutdown_grace
    for service in ("api1", "api2"):
        assert timedelta(seconds=int(parts["services"][service]["stop_grace_period"].rstrip("s"))) > least
    unit = (ROOT / "deploy/defarm@.service").read_text()
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop and timedelta(seconds=int(stop[1])) > least


def test_an_instance_runs_without_rights_that_it_does_not_need(parts: dict[str, Any]) -> None:
    for service in ENGINES:
        engine = parts["services"][service]
        assert engine["read_only"] and engine["tmpfs"] == ["/tmp"] and engine["cap_drop"] == ["ALL"]


def test_the_proxy_knows_the_instances_and_asks_whether_they_are_ready(parts: dict[str, Any]) -> None:
    proxy = (ROOT / parts["configs"]["proxy"]["file"]).read_text()
    instances = dict(re.findall(r"^\s+server (\S+) (\S+)$", proxy, re.MULTILINE))
    assert instances == {"api1": "api1:3000", "api2": "api2:3000"}
    assert "balance roundrobin" in proxy and "stick" not in proxy.replace("stickiness", "").replace("sticky", "")
    assert "option httpchk GET /health/ready" in proxy and "option forwardfor" in proxy
    assert re.search(r"bind :(\d+)", proxy)[1] == parts["services"]["proxy"]["ports"][0].rpartition(":")[2]  # type: ignore[index]
    assert int(re.search(r"timeout server (\d+)s", proxy)[1]) >= 4 * 30  # type: ignore[index]
    subnet = parts["networks"]["inside"]["ipam"]["config"][0]["subnet"]
    assert parts["services"]["api1"]["environment"]["DEFARM_TRUSTED_PROXIES"] == subnet


def test_the_image_runs_as_nobody_in_particular_and_listens_to_everybody(image: list[tuple[str, str]]) -> None:
    found = dict(image)
    assert found["USER"] == "10001:10001"
    assert "HOST=0.0.0.0" in found["ENV"] and "PORT=3000" in found["ENV"] and found["EXPOSE"] == "3000"
    assert found["ENTRYPOINT"] == '["defarm"]' and found["CMD"] == '["serve"]'
    assert found["VOLUME"] in found["ENV"]
    assert re.search(r'CMD \["defarm", "health"\]$', found["HEALTHCHECK"])


def test_the_image_is_made_of_the_locked_release_and_nothing_else() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = {name for names in copied for name in names.split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert sources == {*packages, "pyproject.toml", "uv.lock", project["project"]["readme"]}
    assert all((ROOT / name).exists() for name in sources)
    assert text.count("uv sync --locked --no-dev") == 2
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == sources
    assert ignored.index("*") < min(ignored.index(f"!{name}") for name in sources)
    assert {"**/.env*", "**/.defarm"} <= set(ignored)


def test_every_command_that_the_files_run_exists(parts: dict[str, Any]) -> None:
    run = {parts["services"]["migrate"]["command"][0], parts["services"]["api1"]["healthcheck"]["test"][2], "serve"}
    assert run <= COMMANDS.keys()
