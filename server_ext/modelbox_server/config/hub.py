"""What JupyterHub tells the services that it starts, as defaults of settings; and the connection to a Hub that settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelbox_server.config.loading import ServerConfig
    from modelbox_server.config.table import Value
    from modelbox_server.hub.client import HubConnection

__all__ = ["contradictions_of_hub", "hub_defaults", "hub_of"]


def hub_defaults(env: Mapping[str, str]) -> Mapping[str, Value]:
    """Return by path the values that hold unless a file says otherwise: a service of a Hub finds all of them in its environment.

    Servers of users have variables of these names too, but no name of a service.
    """
    if not env.get("JUPYTERHUB_SERVICE_NAME") or not env.get("JUPYTERHUB_API_TOKEN"):
        return {}
    told: dict[str, Value] = {
        "auth.mode": "hub",
        "hub.service_name": env["JUPYTERHUB_SERVICE_NAME"],
        "hub.api_token": env["JUPYTERHUB_API_TOKEN"],
        "hub.api_url": env.get("JUPYTERHUB_API_URL"),
        "hub.client_id": env.get("JUPYTERHUB_CLIENT_ID"),
        "hub.service_prefix": env.get("JUPYTERHUB_SERVICE_PREFIX"),
        "hub.base_url": env.get("JUPYTERHUB_HOST", "") + env.get("JUPYTERHUB_BASE_URL", "/"),
    }
    listens, public = urlsplit(env.get("JUPYTERHUB_SERVICE_URL", "")), urlsplit(env.get("JUPYTERHUB_PUBLIC_URL", ""))
    if listens.hostname and listens.port:
        host = f"[{listens.hostname}]" if ":" in listens.hostname else listens.hostname
        told["listen_addr"] = f"{host}:{listens.port}"
    if public.hostname:
        told["allowed_hosts"] = (public.hostname,)
    return {path: value for path, value in told.items() if value}


def contradictions_of_hub(values: Mapping[str, Value]) -> Iterator[str]:
    """Yield what is missing for a server that asks a Hub who people are."""
    if values["auth.mode"] != "hub":
        return
    for name in ("api_url", "api_token"):
        if not values[f"hub.{name}"]:
            yield f"hub.{name}: missing, auth.mode hub needs it."
    if values["hub.api_url"] and not str(values["hub.api_url"]).startswith(("http://", "https://")):
        yield 'hub.api_url: expected an address such as "http://hub:8081/hub/api".'
    if not str(values["hub.service_prefix"]).startswith("/"):
        yield 'hub.service_prefix: expected a path such as "/services/modelbox/".'


def hub_of(config: ServerConfig) -> HubConnection | None:
    """Return the Hub that knows people, if one does."""
    if config.text("auth.mode") != "hub":
        return None
    from modelbox_server.hub.client import HubConnection

    name = config.text("hub.service_name")
    return HubConnection(
        api_url=config.text("hub.api_url"),
        api_token=config.text("hub.api_token"),
        service_name=name,
        client_id=config.text("hub.client_id") or f"service-{name}",
        prefix=config.text("hub.service_prefix").rstrip("/"),
        base_url=config.text("hub.base_url"),
        admins_are_operators=config.is_on("hub.admins_are_operators"),
    )
