"""The examples for JupyterHub say what JupyterHub and its chart understand; tests/hub runs the first."""

from pathlib import Path
from typing import Any

import yaml
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from modelbox_server.config.loading import read_config

FOLDER = Path(__file__).parents[2] / "deploy" / "jupyterhub"
VALUES: dict[str, Any] = yaml.safe_load((FOLDER / "values.yaml").read_text())


def config() -> Config:
    found = Config()
    text = (FOLDER / "jupyterhub_config.py").read_text()
    exec(compile(text, "jupyterhub_config.py", "exec"), {"get_config": lambda: found})  # noqa: S102  (as JupyterHub does it)
    return found


def test_the_configuration_names_only_what_jupyterhub_has() -> None:
    assert set(config()["JupyterHub"]) <= set(JupyterHub.class_traits())
    assert set(VALUES["hub"]["config"]["JupyterHub"]) <= set(JupyterHub.class_traits())


def test_the_chart_grants_the_scopes_that_the_configuration_has() -> None:
    ours = config()
    scopes = ours.JupyterHub.custom_scopes
    assert VALUES["hub"]["config"]["JupyterHub"]["custom_scopes"] == scopes
    server = next(role for role in ours.JupyterHub.load_roles if role["name"] == "server")
    assert VALUES["hub"]["loadRoles"]["server"]["scopes"] == server["scopes"]
    service = VALUES["hub"]["services"]["modelbox"]
    assert {name: service[name] for name in ("oauth_no_confirm", "oauth_client_allowed_scopes")} == {
        name: ours.JupyterHub.services[0][name] for name in ("oauth_no_confirm", "oauth_client_allowed_scopes")
    }


def test_the_environment_that_the_chart_asks_for_makes_a_service(tmp_path: Path) -> None:
    lines = [line.strip("# ") for line in (FOLDER / "values.yaml").read_text().splitlines() if "MODELBOX_" in line and line.startswith("#")]
    env = dict(line.split("=", 1) for line in lines)
    env["MODELBOX_HUB_API_TOKEN_FILE"] = str(tmp_path / "token")
    (tmp_path / "token").write_text("s3cret")
    found = read_config("", env)
    assert (found.text("auth.mode"), found.text("hub.api_token")) == ("hub", "s3cret")


def test_a_service_of_the_hub_needs_no_settings() -> None:
    told = {
        "JUPYTERHUB_SERVICE_NAME": "modelbox",
        "JUPYTERHUB_API_TOKEN": "s3cret",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
        "JUPYTERHUB_SERVICE_PREFIX": "/base/services/modelbox/",
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:10085/",
        "JUPYTERHUB_BASE_URL": "/base/",
        "JUPYTERHUB_CLIENT_ID": "service-modelbox",
    }
    sample = (FOLDER.parent / "modelbox_server.toml").read_text()
    assert 'listen_addr = ":8085"' in sample
    found = read_config(sample, told)
    assert (found.listen.host, found.listen.port) == ("127.0.0.1", 10085)
    assert (found.text("auth.mode"), found.text("hub.base_url")) == ("hub", "/base/")
    # A user's own server has most of these variables as well.
    mine = {name: value for name, value in told.items() if name != "JUPYTERHUB_SERVICE_NAME"} | {"JUPYTERHUB_USER": "alice"}
    assert read_config("", mine).text("auth.mode") == "token"
    assert read_config(sample, {**told, "MODELBOX_LISTEN_ADDR": ":9000"}).listen.port == 9000
