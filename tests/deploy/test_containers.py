"""Dockerfile, compose file and Kubernetes manifests: read by the tools that judge them, and in agreement with each other and the settings.

There is no container engine where the tests run: tests/packaging runs the commands of the image in the environment that its steps make.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import kubernetes_validate
import pytest
import yaml

from modelbox_server.config.loading import ServerConfig, read_config
from modelbox_server.config.stores import check_storage

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
KUBERNETES = "1.33"

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())


def manifests(*names: str) -> list[dict[str, Any]]:
    return [document for name in names for document in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())]


SERVERS = manifests("server.yaml", "network.yaml")
BLOB_SERVERS = manifests("blob-servers/blob-servers.yaml")
POD: dict[str, Any] = SERVERS[0]["spec"]["template"]["spec"]


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile, each on one line."""
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines if line and not line.startswith("#")]


def configuration(path: Path, tmp_path: Path, environment: Mapping[str, str] = MappingProxyType({})) -> ServerConfig:
    """Read a file of settings whose secrets lie in `tmp_path`."""
    text = re.sub(r'_file = "/run/secrets/(?:modelbox/)?(\w+)"', rf'_file = "{tmp_path}/\1"', path.read_text())
    for secret in secrets_of(path):
        (tmp_path / Path(secret).name).write_text("secret")
    return read_config(text, environment, source=str(path))


def secrets_of(path: Path) -> set[str]:
    return set(re.findall(r'_file = "(/run/secrets/[^"]+)"', path.read_text()))


def run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


# --- settings ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["modelbox_server.toml", "compose/modelbox_server.toml", "kubernetes/modelbox_server.toml"])
def test_every_file_of_settings_is_valid_and_holds_no_secret(name: str, tmp_path: Path) -> None:
    config = configuration(DEPLOY / name, tmp_path)
    check_storage(config)
    assert (config.listen.port, config.text("prometheus_addr")) == (8085, ":2112"), "the ports that all files here name"
    assert not re.search(r"^\s*(password|token|secret_key) =", (DEPLOY / name).read_text(), re.MULTILINE)


# --- images ------------------------------------------------------------------------------------------------------------------------------


def test_hadolint_has_nothing_to_say_about_the_dockerfile() -> None:
    run(BIN / "hadolint", DEPLOY / "Dockerfile")


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    sources = {
        word
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for word in rest.split()[:-1]
        if not word.startswith("--")
    }
    assert sources == {"dist/modelbox_jupyter-*.whl", "deploy/modelbox_server.toml", "notebooks"}
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == sources, "nothing else reaches the builder"
    assert all(list(ROOT.glob(source)) for source in sources if not source.startswith("dist/")), "'make build' makes dist/"


def test_images_run_as_a_user_and_say_whether_they_are_healthy() -> None:
    stages = re.split(r"^FROM ", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)[1:]
    for stage in [stage for stage in stages if re.match(r"\S+ AS (server|jupyter)\n", stage)]:
        assert "\nUSER 10001\n" in stage
        assert "\nHEALTHCHECK " in stage
    assert stages[-1].startswith("${PYTHON_IMAGE} AS server\n"), "whoever names no target gets the server"


def test_images_of_others_are_pinned_to_a_version_and_ours_have_this_one() -> None:
    named = [rest.partition("=")[2] for name, rest in instructions() if name == "ARG"]
    named += [service["image"] for service in COMPOSE["services"].values() if "build" not in service]
    assert len(named) == 5
    assert [image for image in named if not re.search(r":(RELEASE\.)?\d+[.-]\d+[^:]*$", image)] == []
    ours = [service["image"] for service in COMPOSE["services"].values() if "build" in service]
    assert {image.rpartition(":")[2] for image in ours} == {VERSION}


# --- compose -----------------------------------------------------------------------------------------------------------------------------


def test_the_compose_file_is_what_compose_reads() -> None:
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "docker-compose.yml")


def test_the_server_of_compose_finds_its_stores_and_its_secrets(tmp_path: Path) -> None:
    path = DEPLOY / "compose" / "modelbox_server.toml"
    config, services = configuration(path, tmp_path), COMPOSE["services"]
    hosts = [config.text(f"{section}.host") for section in ("metadata_storage_postgres", "metrics_storage_timescaledb")]
    hosts.append(config.text("artifact_storage_s3.endpoint_url").removeprefix("http://").removesuffix(":9000"))
    assert hosts == ["postgres", "timescaledb", "s3"]
    for section, host in zip(("metadata_storage_postgres", "metrics_storage_timescaledb"), hosts, strict=False):
        said = services[host]["environment"]
        wanted = {"POSTGRES_USER": config.text(f"{section}.username"), "POSTGRES_DB": config.text(f"{section}.dbname")}
        assert said == said | wanted
    assert f"s3/{config.text('artifact_storage_s3.bucket')}" in services["bucket"]["command"][0]
    assert services["s3"]["environment"]["MINIO_ROOT_USER"] == config.text("artifact_storage_s3.access_key")
    assert secrets_of(path) == {f"/run/secrets/{name}" for name in services["modelbox"]["secrets"]}
    assert set(config.texts("allowed_hosts")) == {"modelbox"}, "what the other services call it"


def test_what_services_use_is_declared_and_open_on_this_machine_alone() -> None:
    for name, service in COMPOSE["services"].items():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], f"{name}: {volume}"
    assert all(secret["file"].startswith("secrets/") for secret in COMPOSE["secrets"].values())
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


# --- Kubernetes --------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("manifest", SERVERS + BLOB_SERVERS, ids=lambda manifest: f"{manifest['kind']} {manifest['metadata']['name']}")
def test_every_manifest_is_what_kubernetes_reads(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_kustomize_puts_the_manifests_together() -> None:
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"], "kustomization.yaml"} == {
        path.name for path in (DEPLOY / "kubernetes").iterdir() if path.is_file()
    }
    (image,) = kustomization["images"]
    assert (image["name"], image["newTag"]) == (POD["containers"][0]["image"], VERSION)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
@pytest.mark.parametrize("with_blob_servers", [False, True])
def test_kubectl_builds_the_whole(with_blob_servers: bool, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    if with_blob_servers:
        with (tmp_path / "kubernetes" / "kustomization.yaml").open("a") as file:
            file.write("components: [blob-servers]\n")
    built = subprocess.run(["kubectl", "kustomize", tmp_path / "kubernetes"], capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr
    documents = list(yaml.safe_load_all(built.stdout))
    for document in documents:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
    deployments = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Deployment"}
    assert set(deployments) == {"modelbox", *(["modelbox-blobs"] if with_blob_servers else [])}
    for deployment in deployments.values():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f"/modelbox-server:{VERSION}")


def test_blob_servers_and_those_that_send_to_them_are_configured_alike(tmp_path: Path) -> None:
    (patch,) = manifests("blob-servers/tickets.yaml")
    path = DEPLOY / "kubernetes" / "modelbox_server.toml"
    (tmp_path / "tickets_key").write_text("k" * 32)
    for deployment, mode in ((patch, "metadata"), (BLOB_SERVERS[0], "blob")):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one["value"].replace("/run/secrets/modelbox", str(tmp_path)) for one in container["env"]}
        if "args" in container:
            assert container["args"][-2:] == ["--mode", mode]
            told["MODELBOX_SERVER_MODE"] = mode
        config = configuration(path, tmp_path, told)
        assert (config.text("mode"), config.text("tickets.key")) == (mode, "k" * 32)
    service = next(manifest for manifest in BLOB_SERVERS if manifest["kind"] == "Service")
    assert f"http://{service['metadata']['name']}:8085" in str(patch)


def test_the_pods_find_their_settings_and_secrets_and_are_asked_at_ports_that_they_open(tmp_path: Path) -> None:
    path = DEPLOY / "kubernetes" / "modelbox_server.toml"
    config = configuration(path, tmp_path)
    (container,) = POD["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"api": config.listen.port, "metrics": 2112}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {volume["name"] for volume in POD["volumes"]} == set(mounts)
    assert all(secret.startswith(f"{mounts['secrets']}/") for secret in secrets_of(path))
    command = next(rest for name, rest in instructions()[::-1] if name == "CMD")
    assert f'"{mounts["config"]}/modelbox_server.toml"' in command, "the settings lie where the image looks for them"
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")} == {"/livez"}
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    probe = container["readinessProbe"]
    noticed_s = probe["periodSeconds"] * probe["failureThreshold"]
    notice_s, grace_s = config.number("shutdown_notice_s"), config.number("shutdown_grace_s")
    assert noticed_s < notice_s, "a server takes new work until the service has forgotten it"
    assert notice_s + grace_s < POD["terminationGracePeriodSeconds"], "what is under way ends before the kill"


@pytest.mark.parametrize("those", [SERVERS, BLOB_SERVERS], ids=["servers", "blob servers"])
def test_the_manifests_select_the_pods_that_they_mean(those: list[dict[str, Any]]) -> None:
    by_kind = {manifest["kind"]: manifest["spec"] for manifest in those}
    labels = by_kind["Deployment"]["template"]["metadata"]["labels"]
    assert by_kind["Service"]["selector"] == by_kind["PodDisruptionBudget"]["selector"]["matchLabels"] == labels
    assert by_kind["NetworkPolicy"]["podSelector"]["matchLabels"] == labels == by_kind["Deployment"]["selector"]["matchLabels"]
    allowed = {port["port"] for rule in by_kind["NetworkPolicy"]["ingress"] for port in rule["ports"]}
    assert allowed == {port["port"] for port in by_kind["Service"]["ports"]}


@pytest.mark.parametrize("those", [SERVERS, BLOB_SERVERS], ids=["servers", "blob servers"])
def test_the_pods_may_do_nothing_that_they_need_not(those: list[dict[str, Any]]) -> None:
    pod = those[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert {"requests", "limits"} <= container["resources"].keys()
