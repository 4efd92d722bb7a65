"""Compose file, manifests and dashboards against the code: names, ports, secrets, and what each service must have."""

import configparser
import importlib
import importlib.util
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import Counter, Gauge, Histogram
from pydantic import TypeAdapter

from components.registry import CHALLENGER, without_password
from components.settings import Settings
from flows.cli_stack import up
from flows.stack import supervise
from flows.stack.compose import PATHS, Program, _resolve, read_programs
from serving import metrics
from serving.access import OPEN

REPOSITORY = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
PRODUCTION = yaml.safe_load((REPOSITORY / "infra" / "compose.production.yml").read_text())
MANIFESTS = [
    document
    for file in sorted((REPOSITORY / "infra" / "k8s").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
READERS = {"PREFECT_": "prefect", "MLFLOW_": "mlflow", "BENTOML_": "bentoml", "GX_": "great_expectations",
           "HF_": "huggingface_hub", "AWS_": "botocore", "OMP_": "torch", "DO_NOT_TRACK": "prefect"}  # fmt: skip


def config_map() -> dict[str, str]:
    """The variables of infra/k8s."""
    (kustomization,) = (each for each in MANIFESTS if each["kind"] == "Kustomization")
    return dict(line.split("=", 1) for line in kustomization["configMapGenerator"][0]["literals"])


def containers() -> dict[str, dict[str, Any]]:
    """Name of what runs in the cluster -> its one container."""
    runs = [each for each in MANIFESTS if each["kind"] in ("Deployment", "StatefulSet", "Job")]
    return {each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0] for each in runs}


@cache
def sources(package: str) -> str:
    """All Python code of an installed package."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return "\n".join(file.read_text(errors="replace") for file in Path(spec.origin).parent.rglob("*.py"))


def known(name: str) -> bool:
    """Whether somebody reads an environment variable."""
    if name.startswith("FERLINE_"):
        return name.removeprefix("FERLINE_").lower() in Settings.model_fields
    if name.startswith("PREFECT_"):
        from prefect.settings import Settings as PrefectSettings
        from prefect.settings.legacy import _get_valid_setting_names

        return name in _get_valid_setting_names(PrefectSettings)
    package = next((package for prefix, package in READERS.items() if name.startswith(prefix)), None)
    return package is not None and _variable(name) in sources(package)


def _variable(name: str) -> str:
    """How a package's source names it: botocore puts its common prefix in front itself."""
    return name if not name.startswith("AWS_") or "CHECKSUM" in name else name.removeprefix("AWS_").lower()


def environments(name: str) -> dict[str, str]:
    """What a service is given by docker-compose.yml, with infra/compose.production.yml over it."""
    over = PRODUCTION["services"].get(name, {})
    return {**SERVICES[name].get("environment", {}), **over.get("environment", {})}


def variables() -> Iterator[str]:
    names = {variable for name in OURS for variable in environments(name)} | set(config_map())
    yield from sorted(names)


@pytest.mark.parametrize("name", list(variables()))
def test_every_variable_is_read_by_somebody(name: str) -> None:
    assert known(name)


def test_every_module_that_a_command_names_is_there() -> None:
    for service in OURS.values():
        for part in service["command"]:
            if module := re.fullmatch(r"([a-z_.]+):([A-Za-z]+)", part):
                assert hasattr(importlib.import_module(module[1]), module[2])


@pytest.mark.parametrize("name", list(SERVICES))
def test_a_service_has_what_it_takes_to_run_unattended(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] in ("unless-stopped", "on-failure") or name == "operations"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert service["deploy"]["resources"]["limits"]["memory"]
    if name not in ("setup", "operations"):  # they do their work and end
        assert "healthcheck" in service or name.startswith("worker"), "a worker serves nothing that could be asked"
    if "build" not in service:
        image, _, tag = service["image"].partition(":")
        assert re.match(r"v?\d+\.\d+", tag), f"{image} is pinned"
        assert service["user"] != "root"
    else:
        dockerfile = (REPOSITORY / service["build"]["dockerfile"]).read_text()
        assert "\nUSER ferline\n" in dockerfile
    for volume in service.get("volumes", []):
        source = volume.partition(":")[0]
        assert source in COMPOSE["volumes"] or (REPOSITORY / source).exists()
    for other, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other == "setup" else "service_healthy"
        assert how["condition"] == wanted
        assert other == "setup" or "healthcheck" in SERVICES[other]


def test_production_has_no_default_for_any_secret() -> None:
    """What docker-compose.yml gives a development value, the other file asks for."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    secrets = set(re.findall(r"\$\{(\w+):-development[\w-]*\}", text))
    required = set(re.findall(r"\$\{(\w+):\?", (REPOSITORY / "infra" / "compose.production.yml").read_text()))
    assert secrets <= required
    example = (REPOSITORY / ".env.example").read_text()
    assert {f"{name}=" for name in required} <= set(example.splitlines())
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if ":-development" in str(value):
                assert ":?" in PRODUCTION["services"][name]["environment"][key], f"{name}: {key}"


def test_every_command_of_the_manual_keeps_productions_logins() -> None:
    """Compose takes both files from `.env`; one that names a file itself would leave the other out."""
    example = (REPOSITORY / ".env.example").read_text()
    (files,) = re.findall(r"^COMPOSE_FILE=(.+)$", example, re.M)
    assert files.split(":") == ["docker-compose.yml", "infra/compose.production.yml"]
    assert all((REPOSITORY / name).is_file() for name in files.split(":"))
    manual = (REPOSITORY / "docs" / "operations.md").read_text()
    assert "`COMPOSE_FILE`" in manual
    commands = re.findall(r"docker compose[^`\n]*", manual)
    assert len(commands) > 10
    assert [command for command in commands if re.search(r"docker compose.* (-f|--file|--env-file)\b", command)] == []


def test_telemetry_of_every_part_is_off() -> None:
    off = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
           "BENTOML_DO_NOT_TRACK": "true", "GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}  # fmt: skip
    for service in OURS.values():
        assert off.items() <= service["environment"].items()
    assert off.items() <= config_map().items()


def test_every_metric_of_dashboards_and_alerts_is_one_that_the_service_has() -> None:
    kinds = (Counter, Gauge, Histogram)
    ours = {name for metric in vars(metrics).values() if isinstance(metric, kinds) for name in _exposed(metric)}
    folder = REPOSITORY / "infra" / "observability"
    texts = [file.read_text() for file in (*folder.glob("dashboards/*.json"), folder / "alerts.yml")]
    named = {name for text in texts for name in re.findall(r"ferline_[a-z_]+", text)}
    assert len(named) > 10
    assert named <= ours
    theirs = {name for text in texts for name in re.findall(r"bentoml_service_[a-z_]+", text)}
    assert theirs == {"bentoml_service_request_total", "bentoml_service_request_duration_seconds_bucket",
                      "bentoml_service_request_in_progress"}  # fmt: skip


def test_an_alert_asks_for_what_it_says() -> None:
    groups = yaml.safe_load((REPOSITORY / "infra" / "observability" / "alerts.yml").read_text())["groups"]
    asked = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    assert f'alias!="{CHALLENGER}"' in asked["NoModel"], "a pinned version's alias is its number"
    left_out = re.findall(r'endpoint!~"([^"]+)"', asked["Errors"])
    assert len(left_out) == asked["Errors"].count("bentoml_service_request_total") == 2
    probes = OPEN - {"/", "/hooks/mlflow"}
    assert all(re.fullmatch(pattern, probe) for pattern in left_out for probe in probes)
    assert not any(re.fullmatch(pattern, "/predict") for pattern in left_out)


def _exposed(metric: Any) -> list[str]:
    family = metric.describe()[0]
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
    return [family.name + ending for ending in endings]


@pytest.mark.parametrize("file", ["service", "drift"])
def test_a_dashboard_is_one_that_grafana_can_place(file: str) -> None:
    board = json.loads((REPOSITORY / "infra" / "observability" / "dashboards" / f"{file}.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(places) == len(set(places)) == 8


def test_manifests_name_what_is_there() -> None:
    images = {image["name"] for each in MANIFESTS if each["kind"] == "Kustomization" for image in each["images"]}
    files = {name for each in MANIFESTS if each["kind"] == "Kustomization" for name in each["resources"]}
    assert files == {file.name for file in (REPOSITORY / "infra" / "k8s").glob("*.yaml")} - {"kustomization.yaml"}
    for each in MANIFESTS:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            name, pod = each["metadata"]["name"], each["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            assert container["image"] in images
            assert container["command"][:3] == SERVICES[name]["command"][:3]
            assert pod["securityContext"]["runAsNonRoot"]
            assert container["resources"]["limits"]["memory"]


def test_make_up_takes_ports_from_the_environment(tmp_path: Path) -> None:
    programs = {p.name: p for p in read_programs(tmp_path, {"PREFECT_PORT": "5555"})}
    assert programs["prefect"].command[-1] == "5555"
    assert programs["worker"].environment["PREFECT_API_URL"] == "http://127.0.0.1:5555/api"
    assert programs["prefect"].health == "http://127.0.0.1:5555/api/health"
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in programs["prefect"].environment, "SQLite"
    assert programs["worker"].environment["FERLINE_STORE"] == str(tmp_path / "store")
    assert not [key for key in programs["worker"].environment if "S3" in key]


def test_make_up_takes_settings_by_their_own_names(tmp_path: Path) -> None:
    """One name in the shell, in `.env` and in containers."""
    own = {
        "FERLINE_LOG_PIXELS": "true",
        "FERLINE_NOTIFY": "json://127.0.0.1/x",
        "FERLINE_SERVE_KEYS": "/data/keys.json",
    }
    service = {p.name: p for p in read_programs(tmp_path, own)}["service"].environment
    assert {name: service[name] for name in own} == {**own, "FERLINE_SERVE_KEYS": str(tmp_path / "keys.json")}
    named = re.findall(r"(FERLINE_\w+): \$\{(\w+):", (REPOSITORY / "docker-compose.yml").read_text())
    assert {name for name, variable in named if name != variable} == {"FERLINE_S3_ACCESS_KEY", "FERLINE_S3_SECRET_KEY"}


def test_a_worker_has_as_many_threads_as_processors(tmp_path: Path) -> None:
    """More than its limit allows are held up; natively there is no limit."""
    worker = SERVICES["worker"]
    assert worker["environment"]["OMP_NUM_THREADS"] == worker["deploy"]["resources"]["limits"]["cpus"]
    pod = containers()["worker"]
    assert {"name": "OMP_NUM_THREADS", "value": pod["resources"]["limits"]["cpu"]} in pod["env"]
    assert not [p.name for p in read_programs(tmp_path, {}) if "OMP_NUM_THREADS" in p.environment]


def test_what_env_says_holds_for_every_command(tmp_path: Path) -> None:
    """A profile or a number of workers that one command names falls out of the next."""
    example = (REPOSITORY / ".env.example").read_text()
    assert re.search(r"^COMPOSE_PROFILES=$", example, re.M)
    assert _resolve(SERVICES["worker"]["deploy"]["replicas"], {"WORKERS": "0"}) == "0"
    manual = (REPOSITORY / "docs" / "operations.md").read_text()
    assert "--profile" not in manual
    stops = re.findall(r"docker compose stop ([\w -]+)", manual)
    assert len(stops) == 2
    assert all({"worker", "worker-gpu"} <= set(stop.split()) for stop in stops)


def test_the_least_machine_of_the_manual_can_start_every_service(tmp_path: Path) -> None:
    """Docker refuses a limit above the machine's processors: two."""
    example = dict(re.findall(r"^(\w+)=(.*)$", (REPOSITORY / ".env.example").read_text(), re.M))
    for variables in ({}, example):
        limits = {name: _resolve(each["deploy"]["resources"]["limits"], variables) for name, each in SERVICES.items()}
        assert {name: limit for name, limit in limits.items() if float(limit.get("cpus", 0)) > 2} == {}


def test_a_browser_gets_through_by_every_address_that_the_manual_names(tmp_path: Path) -> None:
    """Ports and proxies of one's own: MLflow refuses other names, and other origins what changes something."""
    behind = {"MLFLOW_HOST": "mlflow.example.org", "MLFLOW_PORT": "5555", "PREFECT_PORT": "4444"}
    programs = {p.name: p.environment for p in read_programs(tmp_path, behind)}
    hosts = {
        SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"],
        config_map()["MLFLOW_SERVER_ALLOWED_HOSTS"],
    }
    assert all({"127.0.0.1:*", "localhost:*"} <= set(each.split(",")) for each in hosts)
    assert "mlflow.example.org" in programs["mlflow"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert programs["mlflow"]["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://mlflow.example.org"
    of_prefect = {
        each["PREFECT_SERVER_UI_API_URL"] for each in (programs["prefect"], environments("prefect"), config_map())
    }
    assert of_prefect == {"/api"}, "a page's own server, whatever its port or name"


def test_make_up_names_artifacts_as_make_run_does(tmp_path: Path) -> None:
    """Both open the same database, and `make run` without the server that alone knows mlflow-artifacts:/."""
    home = tmp_path / "a home"
    mlflow = {p.name: p for p in read_programs(home, {})}["mlflow"].environment
    assert mlflow["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == (home / "mlflow-artifacts").as_uri()
    assert known("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    with_s3 = {p.name: p for p in read_programs(home, {}, {"s3:8333": "10.0.0.2:9000"})}["mlflow"].environment
    assert "MLFLOW_DEFAULT_ARTIFACT_ROOT" not in with_s3, "through the server into the bucket"


def test_a_path_of_the_settings_is_the_same_for_every_program_of_make_up(tmp_path: Path, monkeypatch) -> None:
    """Each starts in a folder of its own, where a relative one would lead elsewhere."""
    paths = {
        f"FERLINE_{name.upper()}" for name, field in Settings.model_fields.items() if "Path" in str(field.annotation)
    }
    assert paths == {*PATHS, "FERLINE_HOME"}, "the home is made absolute by itself"
    started: dict[str, str] = {}

    def start(_: Path, programs: list[Program], outside: Mapping[str, str]) -> SimpleNamespace:
        started.update(outside, **{k: v for program in programs for k, v in program.environment.items()})
        return SimpleNamespace(poll=lambda: 0, wait=lambda: None, terminate=lambda: None, returncode=0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FERLINE_HOME", str(tmp_path / "home"))
    for name in PATHS:
        monkeypatch.setenv(name, "infra/mine")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(supervise, "check_ports", lambda programs: None)
    monkeypatch.setattr(supervise, "start", start)
    with pytest.raises(typer.Exit):
        up()
    assert {started[name] for name in PATHS} == {str(tmp_path / "infra" / "mine")}


def test_running_flows_keep_their_slots_when_prefects_server_restarts(tmp_path: Path) -> None:
    """Its leases are files below PREFECT_HOME, and that is a volume everywhere."""
    setting = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
    native = {p.name: p for p in read_programs(tmp_path, {})}["prefect"].environment
    (storage,) = {SERVICES["prefect"]["environment"][setting], native[setting], config_map()[setting]}
    assert storage.endswith(".filesystem")
    patience = "PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER"
    (kept,) = {SERVICES["prefect"]["environment"][patience], native[patience], config_map()[patience]}
    assert TypeAdapter(timedelta).validate_python(kept) > timedelta(days=3), "a weekend without power"
    assert hasattr(importlib.import_module(storage), "ConcurrencyLeaseStorage")
    assert SERVICES["prefect"]["environment"]["PREFECT_HOME"] == config_map()["PREFECT_HOME"] == "/data/prefect"
    assert SERVICES["prefect"]["volumes"] == ["prefect:/data"]
    (server,) = (each for each in MANIFESTS if each["kind"] == "Deployment" and each["metadata"]["name"] == "prefect")
    (volume,) = server["spec"]["template"]["spec"]["volumes"]
    claims = {each["metadata"]["name"] for each in MANIFESTS if each["kind"] == "PersistentVolumeClaim"}
    assert volume["persistentVolumeClaim"]["claimName"] in claims


def test_with_servers_elsewhere_make_up_uses_them(tmp_path: Path) -> None:
    elsewhere = {"postgres:5432": "10.0.0.1:5433", "s3:8333": "10.0.0.2:9000"}
    programs = {p.name: p for p in read_programs(tmp_path, {"PREFECT_DB_PASSWORD": "p@ss"}, elsewhere)}
    assert programs["prefect"].environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == (
        "postgresql+asyncpg://prefect:p@ss@10.0.0.1:5433/prefect"
    )
    assert programs["worker"].environment["FERLINE_S3_ENDPOINT"] == "http://10.0.0.2:9000"
    assert programs["worker"].environment["FERLINE_STORE"] == "s3://ferline"


def test_kubernetes_knows_every_manifest() -> None:
    files = [str(file) for file in (REPOSITORY / "infra" / "k8s").glob("[!k]*.yaml")]
    program = str(Path(sys.executable).parent / "kubernetes-validate")
    done = subprocess.run([program, "--strict", "--quiet", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_part_has_the_least_of_the_store() -> None:
    """One S3 user a bucket; only what makes buckets and copies both is an administrator."""
    text = COMPOSE["configs"]["s3-identities"]["content"]
    identities = {each["name"]: each for each in json.loads(text)["identities"]}
    for bucket in ("ferline", "mlflow"):
        assert all(action.endswith(f":{bucket}") for action in identities[bucket]["actions"])
    assert {"-webdav=false", "-admin.ui=false"} <= set(SERVICES["s3"]["command"]), "neither asks for a key"
    given = {name: json.dumps(environments(name)) for name in SERVICES}
    assert {name for name, text in given.items() if "S3_ADMIN" in text} == {"setup", "operations"}


def test_each_part_has_the_logins_it_needs_and_no_other() -> None:
    """As the manual's table says: what clients reach, the service, starts no runs."""
    given = {name: set(environments(name)) for name in SERVICES}
    flows = {"setup", "worker", "worker-gpu", "operations"}
    assert {name for name, own in given.items() if "PREFECT_API_AUTH_STRING" in own} == flows
    assert {name for name, own in given.items() if "MLFLOW_TRACKING_PASSWORD" in own} == flows | {"service"}
    over = PRODUCTION["services"]
    assert set(over["service"]["environment"]) == {
        "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "FERLINE_S3_ACCESS_KEY", "FERLINE_S3_SECRET_KEY",
        "FERLINE_SERVE_KEYS",
    }  # fmt: skip


def test_a_set_up_that_runs_again_starts_no_schedule_that_was_paused() -> None:
    """Prefect knows a schedule again by its slug, and changes `active` only where it is said."""
    deployments = yaml.safe_load((REPOSITORY / "infra" / "prefect.yaml").read_text())["deployments"]
    schedules = [schedule for each in deployments for schedule in each.get("schedules", [])]
    assert len(schedules) == 3
    assert all("slug" in schedule and "active" not in schedule for schedule in schedules)


def test_mlflows_users_outlive_its_container() -> None:
    """They stand where its experiments do, and not in a file of the container."""
    mlflow, known = PRODUCTION["services"]["mlflow"], PRODUCTION["configs"]
    (config,) = mlflow["configs"]
    assert mlflow["environment"]["MLFLOW_AUTH_CONFIG_PATH"] == config["target"]
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(known[config["source"]]["content"])
    assert read["mlflow"]["database_uri"] == mlflow["environment"]["MLFLOW_BACKEND_STORE_URI"]
    assert read["mlflow"]["default_permission"] == "READ"


def test_mlflows_bucket_is_named_to_its_server_alone() -> None:
    """Whoever is told it looks there (`ferline doctor`), and no other S3 user may."""
    name, bucket = "MLFLOW_ARTIFACTS_DESTINATION", SERVICES["mlflow"]["environment"]["MLFLOW_ARTIFACTS_DESTINATION"]
    assert name not in config_map()
    told = {own: each["env"] for own, each in containers().items() if name in str(each.get("env"))}
    assert told == {"mlflow": [{"name": name, "value": bucket}]}
    assert {own for own in SERVICES if name in environments(own)} == {"mlflow", "operations"}


def test_jobs_of_ones_own_find_what_kustomize_makes() -> None:
    """They are applied without it: its names must be the ones that stand in the files."""
    (kustomization,) = (each for each in MANIFESTS if each["kind"] == "Kustomization")
    made = {each["name"] for each in kustomization["configMapGenerator"]}
    assert kustomization["generatorOptions"]["disableNameSuffixHash"]
    asked = {source["configMapRef"]["name"] for each in containers().values() for source in each["envFrom"]
             if "configMapRef" in source}  # fmt: skip
    assert asked == made
    manual = (REPOSITORY / "docs" / "operations.md").read_text()
    named = {
        name for line in re.findall(r"kubectl -n ferline scale (.+)", manual) for name in re.findall(r"/(\w+)", line)
    }
    assert named == {each["metadata"]["name"] for each in MANIFESTS if each["kind"] in ("Deployment", "StatefulSet")}


def test_the_autoscaler_alone_says_how_many() -> None:
    (scaler,) = (each for each in MANIFESTS if each["kind"] == "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    (scaled,) = (each for each in MANIFESTS if each["kind"] == target["kind"])
    assert scaled["metadata"]["name"] == target["name"]
    assert "replicas" not in scaled["spec"], "`kubectl apply` would set it again"


def test_a_pod_has_its_own_secrets() -> None:
    """The databases' passwords and the administrator's keys are in the pods that need them, and in no other."""
    named = {
        name: [source["secretRef"]["name"] for source in each["envFrom"] if "secretRef" in source]
        for name, each in containers().items()
    }
    assert named == {"prefect": ["ferline-prefect"], "mlflow": ["ferline-mlflow"], "setup": ["ferline-admin"],
                     "worker": ["ferline", "ferline-worker"], "service": ["ferline"], "dashboard": []}  # fmt: skip
    manual = (REPOSITORY / "docs" / "operations.md").read_text()
    assert all(secret in manual for secrets in named.values() for secret in secrets)


def test_prometheus_asks_with_a_key_in_the_cluster_too() -> None:
    """A scrape by annotation carries none, and /metrics is not open."""
    assert "/metrics" not in OPEN
    pods = [each["spec"]["template"]["metadata"] for each in MANIFESTS if "template" in each.get("spec", {})]
    assert not [name for pod in pods for name in pod.get("annotations", {}) if name.startswith("prometheus.io/")]
    blocks = re.findall(r"```yaml\n(.+?)```", (REPOSITORY / "docs" / "operations.md").read_text(), re.S)
    (job,), (adapter,) = yaml.safe_load(blocks[0]), yaml.safe_load(blocks[1])["rules"]
    (composed,) = yaml.safe_load((REPOSITORY / "infra" / "observability" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    assert job["authorization"] == composed["authorization"]
    alerts = (REPOSITORY / "infra" / "observability" / "alerts.yml").read_text()
    assert {job["job_name"], composed["job_name"]} == set(re.findall(r'job="(\w+)"', alerts))
    keep, *added = job["relabel_configs"]
    (service,) = (each for each in MANIFESTS if each["kind"] == "StatefulSet")
    assert service["spec"]["template"]["metadata"]["labels"]["app"] == keep["regex"]
    assert {each["target_label"] for each in added} == set(adapter["resources"]["overrides"]), (
        "the adapter goes by them"
    )
    (scaler,) = (each for each in MANIFESTS if each["kind"] == "HorizontalPodAutoscaler")
    assert adapter["seriesQuery"].startswith(scaler["spec"]["metrics"][0]["pods"]["metric"]["name"])


def test_a_password_is_not_shown() -> None:
    shown = without_password("postgresql://mlflow:hush@db:5432/mlflow")
    assert shown == "postgresql://mlflow:***@db:5432/mlflow"
    assert without_password("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow.db"


def test_every_line_of_the_threat_table_names_a_test_that_is_there() -> None:
    known = "\n".join(file.read_text() for file in (REPOSITORY / "tests").rglob("test_*.py"))
    named = re.findall(r"`(test_\w+)`", (REPOSITORY / "docs" / "threats.md").read_text())
    assert len(named) > 20
    assert [name for name in named if f"def {name}(" not in known] == []


@pytest.mark.parametrize(("told", "status", "made"), [("", 1, []), ("1", 0, ["setup", "test", "test-stack"])])
def test_ci_is_not_green_without_the_stack_unless_told(tmp_path: Path, told: str, status: int, made: list[str]) -> None:
    """Stack tests skip where PostgreSQL is missing. A copy of the script: it clears the folder it lies in."""
    script, stubs = tmp_path / ".ci" / "run", tmp_path / "bin"
    programs = {"id": "echo 0", "dpkg": "exit 1", "apt-get": "exit 100", "make": 'echo "$1" >> made'}
    files = {stubs / name: f"#!/bin/sh\n{line}\n" for name, line in programs.items()}
    for file, text in {**files, script: (REPOSITORY / ".ci" / "run").read_text()}.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    (tmp_path / "made").touch()
    path = f"{stubs}:/usr/bin:/bin"
    done = subprocess.run(
        [script], env={"PATH": path, "FERLINE_CI_WITHOUT_STACK": told}, capture_output=True, text=True
    )
    assert done.returncode == status, done.stderr
    assert (tmp_path / "made").read_text().split() == made
