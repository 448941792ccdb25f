"""A JupyterHub whose users share one ModelBox: paste this into jupyterhub_config.py, and change the users, the groups and the address."""

c = get_config()  # noqa: F821  (JupyterHub provides it)

# What browsers and users' servers reach the Hub by.
ADDRESS = "http://127.0.0.1:8000"

# One ModelBox, started by the Hub, at /services/modelbox/. It alone knows where databases and buckets are, and how to get into them.
c.JupyterHub.services = [
    {
        "name": "modelbox",
        "url": "http://127.0.0.1:10085",
        "command": ["modelbox", "server", "start", "--config-path", "/etc/modelbox/modelbox_server.toml"],
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": ["inherit"],
    }
]

# What somebody may do in ModelBox at most. Where they may do it is ModelBox's business: at home (~NAME), in group/GROUP of their groups,
# and where they were granted a role.
c.JupyterHub.custom_scopes = {
    "custom:modelbox:read": {"description": "See experiments in ModelBox"},
    "custom:modelbox:write": {"description": "Log experiments to ModelBox", "subscopes": ["custom:modelbox:read"]},
    "custom:modelbox:admin": {"description": "Do everything in ModelBox", "subscopes": ["custom:modelbox:write"]},
}

c.JupyterHub.load_groups = {
    "vision": {"users": ["alice", "bob"]},
    "readers": {"users": ["rita"]},
}

USE = "access:services!service=modelbox"

c.JupyterHub.load_roles = [
    {"name": "modelbox-writers", "groups": ["vision"], "scopes": [USE, "custom:modelbox:write"]},
    {"name": "modelbox-readers", "groups": ["readers"], "scopes": [USE, "custom:modelbox:read"]},
    # Users' servers, and so their kernels, may use ModelBox as far as their users may.
    {"name": "server", "scopes": ["users:activity!user", "access:servers!server", USE, "custom:modelbox:write"]},
]

# Kernels and the extension in users' servers find the shared ModelBox by this; nobody has to configure anything.
c.Spawner.environment = {"MODELBOX_HUB_URL": f"{ADDRESS}/services/modelbox"}
