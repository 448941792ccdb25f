"""The configuration of a server: one table, from which file, validation and documentation come."""

import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelbox.errors import ConfigError
from modelbox_server.config.hub import hub_of
from modelbox_server.config.loading import Endpoint, ServerConfig, load_config, parse_endpoint, read_config
from modelbox_server.config.table import SECTIONS, SETTINGS
from modelbox_server.config.template import settings_table, template

SEED = Path(__file__).parent / "seed.toml"


def problems(text: str, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_config(text, env or {})
    return [line.strip() for line in caught.value.detail.splitlines()[1:]]


def test_the_file_of_init_config_says_what_that_of_2022_said() -> None:
    ours, seed = tomllib.loads(template()), tomllib.loads(SEED.read_text())
    assert ours == seed
    assert [list(table) for table in ours.values() if isinstance(table, dict)] == [
        list(table) for table in seed.values() if isinstance(table, dict)
    ]


def test_every_block_of_the_file_says_what_it_is_for() -> None:
    assert template().count("# ") == template().count("[") + 1


def test_the_seed_is_a_valid_configuration_and_means_what_it_says() -> None:
    config = load_config(SEED, {})
    assert config.text("metadata_storage") == "ephemeral"
    assert config.listen == Endpoint("", 8085)
    assert config.number("metadata_storage_mysql.port") == 3306


def test_without_a_file_everything_has_a_default() -> None:
    config = load_config(None, {})
    assert config.listen == Endpoint("", 8085)
    assert config.text("auth.mode") == "token"
    assert config.text("artifact_storage_filesystem.base_dir") == ""


def test_every_mistake_is_told_at_once_with_its_path_and_what_would_be_right() -> None:
    assert problems(
        """
        metadata_storag = "integrated"
        metrics_storage = "inmemor"
        listen_addr = "8085"
        shutdown_grace_s = -1
        allowed_hosts = "box"
        artifact_storage_s3 = 3
        [artifact_storage_filesystem]
        base_dri = "/x"
        [metadata_storage_postgres]
        port = "5432a"
        [mysql]
        host = "x"
        """
    ) == [
        "metadata_storag: unknown key. Did you mean 'metadata_storage'?",
        "artifact_storage_s3: expected a section, write [artifact_storage_s3] on a line of its own, got 3.",
        "artifact_storage_filesystem.base_dri: unknown key. Did you mean 'base_dir'?",
        "mysql: unknown section. Remove it.",
        "metrics_storage: got 'inmemor'. Did you mean 'inmemory'?",
        "shutdown_grace_s: expected at least 0, got -1.",
        "allowed_hosts: expected a list of texts, got 'box'.",
        "metadata_storage_postgres.port: expected an integer, got '5432a'.",
        "artifact_storage_filesystem.base_dir: missing",
        'listen_addr: expected "HOST:PORT" or ":PORT" with a port up to 65535, got \'8085\'.',
    ]


def test_a_storage_without_its_section_is_told() -> None:
    assert problems('metadata_storage = "postgres"\n[artifact_storage_filesystem]\nbase_dir = "/x"') == [
        '[metadata_storage_postgres]: missing, metadata_storage = "postgres" needs host, username, dbname in it.'
    ]


def test_sections_of_storages_that_are_not_used_need_not_be_complete() -> None:
    text = '[artifact_storage_filesystem]\nbase_dir = "/x"\n[metadata_storage_postgres]\nport = 1'
    assert read_config(text, {}).number("metadata_storage_postgres.port") == 1


def test_the_environment_overrides_the_file_in_the_kind_of_the_setting() -> None:
    env = {"MODELBOX_LISTEN_ADDR": "[::1]:9", "MODELBOX_METADATA_STORAGE_MYSQL_PORT": "7", "MODELBOX_ALLOWED_HOSTS": "a, b"}
    env |= {"MODELBOX_AUTH_TRUST_SAME_USER_LOOPBACK": "no", "MODELBOX_SHUTDOWN_GRACE_S": "0.5"}
    config = read_config(SEED.read_text(), env)
    assert config.listen == Endpoint("::1", 9)
    assert config.number("metadata_storage_mysql.port") == 7
    assert config.texts("allowed_hosts") == ("a", "b")
    assert not config.is_on("auth.trust_same_user_loopback")
    assert config.number("shutdown_grace_s") == 0.5


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    env = {"MODELBOX_METADATA_STORAGE_MYSQL_PORT": "many", "MODELBOX_AUTH_TRUST_SAME_USER_LOOPBACK": "perhaps"}
    assert problems(SEED.read_text(), env) == [
        "metadata_storage_mysql.port: expected an integer, MODELBOX_METADATA_STORAGE_MYSQL_PORT is 'many'.",
        "auth.trust_same_user_loopback: expected a boolean, MODELBOX_AUTH_TRUST_SAME_USER_LOOPBACK is 'perhaps'.",
    ]


def test_a_text_may_stand_in_the_environment() -> None:
    text = SEED.read_text().replace('password = "foo"', 'password = "${DB_PASSWORD}"', 1)
    assert read_config(text, {"DB_PASSWORD": "hunter2"}).text("metadata_storage_postgres.password") == "hunter2"
    assert problems(text) == ["metadata_storage_postgres.password: ${DB_PASSWORD} names an environment variable that is not set."]


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    text = SEED.read_text().replace('password = "foo"', f'password_file = "{tmp_path / "password"}"', 1)
    assert read_config(text, {}).text("metadata_storage_postgres.password") == "hunter2"
    both = text.replace("password_file", 'password = "x"\npassword_file')
    assert problems(both) == ["metadata_storage_postgres.password: password and password_file are both there, keep one of them."]
    (line,) = problems(text.replace("/password", "/nothing"))
    assert line.startswith("metadata_storage_postgres.password: the file ")
    assert line.endswith("cannot be read (No such file or directory).")


def test_the_environment_may_name_the_file_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary\n")
    config = read_config("", {"MODELBOX_AUTH_TOKEN_FILE": str(tmp_path / "token")})
    assert config.text("auth.token") == "canary"
    assert "canary" not in repr(config)


def test_secrets_show_nowhere() -> None:
    text = SEED.read_text().replace('"foo"', '"canary"') + '[auth]\ntoken = "canary"\n'
    config = read_config(text, {})
    assert "canary" not in repr(config)
    assert "canary" not in str(config.shown())
    assert "canary" not in "".join(problems(text.replace('"canary"', '["canary"]')))


def test_a_file_with_secrets_that_others_can_read_is_refused_unless_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    text = SEED.read_text().replace('password = "foo"', 'password = "canary"', 1) + '[auth]\ntoken = "canary"\n'
    for mode in (0o644, 0o640, 0o604, 0o602):
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(
            ConfigError, match=r"metadata_storage_postgres.password, auth.token: others .* 'chmod 600 .*--allow-insecure"
        ) as caught:
            load_config(path, {})
        assert "canary" not in caught.value.detail
        assert load_config(path, {}, allow_insecure=True).text("auth.token") == "canary"
    path.chmod(0o600)
    assert load_config(path, {}).text("auth.token") == "canary"


def test_what_everybody_knows_may_be_read_by_everybody(tmp_path: Path) -> None:
    path = tmp_path / "box.toml"
    (tmp_path / "token").write_text("canary")
    path.write_text(
        SEED.read_text().replace('password = "foo"', 'password = "${SECRET}"', 1) + f'[auth]\ntoken_file = "{tmp_path}/token"\n'
    )
    path.chmod(0o644)
    config = load_config(path, {"SECRET": "canary"})
    assert config.text("auth.token") == config.text("metadata_storage_postgres.password") == "canary"
    assert config.sample_secrets == ["metadata_storage_mysql.password", "metrics_storage_timescaledb.password"]


@pytest.mark.parametrize("address", [":8085", "0.0.0.0:8085", "box:1", "[::]:2"])
def test_no_token_on_an_open_address_has_to_be_said_twice(address: str) -> None:
    text = f'listen_addr = "{address}"\n[artifact_storage_filesystem]\nbase_dir = "/x"\n[auth]\nmode = "none"\n'
    (line,) = problems(text)
    assert line.startswith("auth.mode: none lets everybody in")
    assert read_config(text + "allow_open_network = true", {}).text("auth.mode") == "none"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('grpc_listen_addr = "8086"', 'grpc_listen_addr: expected "HOST:PORT"'),
        ('grpc_listen_addr = ":8085"', "grpc_listen_addr: it is listen_addr, which speaks gRPC anyway."),
        ('listen_addr = "127.0.0.1:1"\ngrpc_listen_addr = ":2"\nauth.mode = "none"', "auth.mode: none lets everybody in who reaches :2."),
        ('allowed_origins = ["https://a.example", "https://b.example/x"]', 'allowed_origins: expected "SCHEME://HOST"'),
        ('allowed_origins = ["*"]', "allowed_origins: expected"),
        ('tls_key = "/x"', "tls_cert: missing, tls_key needs it."),
    ],
)
def test_what_contradicts_itself_is_told(lines: str, says: str) -> None:
    (line,) = problems(f'{lines}\n[artifact_storage_filesystem]\nbase_dir = "/x"\n')
    assert line.startswith(says)


@pytest.mark.parametrize("address", ["127.0.0.1:8085", "localhost:1", "[::1]:2", "127.9.9.9:3"])
def test_no_token_on_the_loopback_address_is_fine(address: str) -> None:
    text = f'listen_addr = "{address}"\n[artifact_storage_filesystem]\nbase_dir = "/x"\n[auth]\nmode = "none"\n'
    assert read_config(text, {}).listen.is_loopback


@pytest.mark.parametrize("address", ["", "8085", "host", ":", ":x", ":65536", "::1:80", "a:b:1", ":-1", ":\u0661"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^listen_addr: expected"):
        parse_endpoint(address, "listen_addr")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="init-config"):
        load_config(tmp_path / "none.toml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, {})
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path / "latin.toml", {})
    (tmp_path / "broken.toml").write_text("a = = 1")
    with pytest.raises(ConfigError, match=r"broken.toml is not TOML: .*line 1"):
        load_config(tmp_path / "broken.toml", {})
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than"):
        load_config(tmp_path / "large.toml", {})


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
_names = st.sampled_from([*(s.name for s in SETTINGS), *(s.name for s in SECTIONS), "x", "[", "é\n"])


def _as_toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case None:
            return "[1, {}]"
        case _:
            return '"' + "".join(f"\\U{ord(char):08X}" for char in str(value) if not 0xD800 <= ord(char) <= 0xDFFF) + '"'


@given(st.dictionaries(st.sampled_from([s.path for s in SETTINGS]), _scalars, max_size=8), st.text(max_size=60))
def test_whatever_a_file_says_is_a_configuration_or_a_list_of_mistakes(values: dict[str, object], tail: str) -> None:
    lines = [f"{path} = {_as_toml(value)}" for path, value in values.items()]
    for text in ("\n".join(lines), "\n".join([*lines, tail])):
        with suppress(ConfigError):
            assert isinstance(read_config(text, {}), ServerConfig)


def test_the_table_of_the_documentation_has_every_setting() -> None:
    table = settings_table()
    assert all(f"| `{setting.path}` |" in table for setting in SETTINGS)
    assert all(setting.help.endswith(".") for setting in SETTINGS)
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)
    assert {setting.section for setting in SETTINGS} == {section.name for section in SECTIONS}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('mode = "metadata"', 'blob_servers: empty, mode = "metadata" needs the address of at least one. Use mode = "all" to do without.'),
        ('mode = "blob"', "tickets.key: expected at least 32 characters, the same on all servers that work together."),
        (
            'blob_servers = ["http://b:1"]\n[tickets]\nkey = "short"',
            "tickets.key: expected at least 32 characters, the same on all servers that work together.",
        ),
        (
            f'blob_servers = ["b:1"]\n[tickets]\nkey = "{"k" * 32}"',
            "blob_servers: expected addresses such as \"http://blob1:8085\", got 'b:1'.",
        ),
    ],
)
def test_servers_that_work_together_have_a_key_and_addresses(text: str, problem: str) -> None:
    assert problems(f"{text}\n[artifact_storage_filesystem]\nbase_dir = '/x'") == [problem]


def test_the_mode_of_clients_is_not_that_of_the_server() -> None:
    """Who trains offline may start a server in the same shell."""
    assert read_config("", {"MODELBOX_MODE": "offline"}).text("mode") == "all"
    assert read_config("", {"MODELBOX_SERVER_MODE": "blob", "MODELBOX_TICKETS_KEY": "k" * 32}).text("mode") == "blob"


def test_a_server_that_asks_a_hub_needs_to_know_where_and_who_it_is() -> None:
    with pytest.raises(ConfigError) as wrong:
        read_config('[auth]\nmode = "hub"\n[hub]\nservice_prefix = "modelbox"\napi_url = "hub:8081"', {})
    for expected in ("hub.api_token: missing", "hub.api_url: expected an address such as", "hub.service_prefix: expected a path such as"):
        assert expected in wrong.value.detail


def test_an_external_service_of_a_hub_is_described_by_settings() -> None:
    text = """
        auth.mode = "hub"
        [hub]
        api_url = "https://hub.example/hub/api"
        api_token = "${HUB_TOKEN}"
        service_name = "tracker"
        service_prefix = "/services/tracker/"
        base_url = "https://hub.example/"
        [artifact_storage_filesystem]
        base_dir = "/srv/modelbox"
    """
    hub = hub_of(read_config(text, {"HUB_TOKEN": "s3cret"}))
    assert hub is not None
    assert (hub.api_token, hub.client_id, hub.prefix) == ("s3cret", "service-tracker", "/services/tracker")
    assert hub.authorize_url("x").startswith("https://hub.example/hub/api/oauth2/authorize?client_id=service-tracker&")
    assert "s3cret" not in repr(hub)
    assert hub_of(read_config("", {})) is None
