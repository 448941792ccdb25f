"""Every command of ``modelbox``, in the order of the help pages.

To add one: write a function with click's decorators in a module of its own, and a line for it here. What stands here is enough for the help
pages and for completion, so that no command loads the modules of another.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMMANDS", "Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A command, or a group of commands.

    Parameters
    ----------
    words
        What is typed after ``modelbox``.
    summary
        The first sentence of its help page.
    home
        ``module:name`` of the decorated function; empty for a group that only holds commands.
    """

    words: str
    summary: str
    home: str = ""

    @property
    def name(self) -> str:
        """The last of the words."""
        return self.words.rpartition(" ")[2]

    @property
    def group(self) -> str:
        """The words of the group that it belongs to; empty for the commands of ``modelbox`` itself."""
        return self.words.rpartition(" ")[0]


COMMANDS = (
    Entry("status", "Say which store is used, and why.", "modelbox.cli.status:status"),
    Entry("doctor", "Check this installation.", "modelbox.cli.doctor:doctor"),
    Entry("query", "List the experiments for which a query holds.", "modelbox.cli.client.query:query"),
    Entry("sql", "Print what an SQL statement selects from the views; it can only read.", "modelbox.cli.client.query:sql"),
    Entry("sync", "Send what processes that have ended, or are offline, left behind.", "modelbox.cli.sync:sync"),
    Entry(
        "completion",
        "Print the script that makes a shell complete commands, options and values.",
        "modelbox.cli.completion:completion",
    ),
    Entry("help", "Explain a command, or with exit-codes what the exit codes mean.", "modelbox.cli.help:explain"),
    Entry("client", "Log, list and compare experiments from a shell.", "modelbox.cli.client.base:client"),
    Entry(
        "client init-config",
        "Write a configuration file that clients started in this folder find.",
        "modelbox.cli.client.config:init_config",
    ),
    Entry("client experiments", "Create, list, show, compare and delete experiments."),
    Entry(
        "client experiments create",
        "Create an experiment, or find the one that the name means.",
        "modelbox.cli.client.objects:create_experiment",
    ),
    Entry("client experiments list", "List experiments, newest first.", "modelbox.cli.client.objects:list_experiments"),
    Entry(
        "client experiments show",
        "Show an experiment with its metadata and the last values of its metrics.",
        "modelbox.cli.client.objects:show_experiment",
    ),
    Entry(
        "client experiments compare",
        "Put experiments side by side: parameters, tags and metrics that differ.",
        "modelbox.cli.client.objects:compare_experiments",
    ),
    Entry(
        "client experiments delete",
        "Delete an experiment with everything that hangs on it.",
        "modelbox.cli.client.objects:delete_experiment",
    ),
    Entry("client checkpoints", "Create and list the checkpoints of an experiment."),
    Entry("client checkpoints create", "Create the checkpoint of an epoch, or find it.", "modelbox.cli.client.objects:create_checkpoint"),
    Entry("client checkpoints list", "List the checkpoints of an experiment by epoch.", "modelbox.cli.client.objects:list_checkpoints"),
    Entry("client models", "Create and list models."),
    Entry("client models create", "Create a model, or find the one that the name means.", "modelbox.cli.client.objects:create_model"),
    Entry("client models list", "List models, newest first.", "modelbox.cli.client.objects:list_models"),
    Entry("client versions", "List the versions of a model, given by its name or id.", "modelbox.cli.client.objects:versions"),
    Entry("client artifacts", "Upload, track, list and download files of objects."),
    Entry(
        "client artifacts upload",
        "Upload a file, or a folder with all below it; each is stored whole and verified, or not at all.",
        "modelbox.cli.client.contents:upload",
    ),
    Entry("client artifacts track", "Keep a reference to a file that stays where it is.", "modelbox.cli.client.contents:track"),
    Entry("client artifacts list", "List the files of an object by name.", "modelbox.cli.client.contents:list_artifacts"),
    Entry(
        "client artifacts download",
        "Download a file, verified; nothing is left of one that arrives damaged.",
        "modelbox.cli.client.contents:download",
    ),
    Entry(
        "client metrics",
        "Show a summary of the metrics of an object, or with --key every point.",
        "modelbox.cli.client.contents:metrics",
    ),
    Entry("client events", "List what trainers and other systems said happened, oldest first.", "modelbox.cli.client.contents:events"),
    Entry("client watch", "Print changes as they happen, a line each, until Ctrl-C.", "modelbox.cli.client.contents:watch"),
    Entry("client whoami", "Say who you are to the store, and which roles you have.", "modelbox.cli.client.people:whoami"),
    Entry("client tokens", "Make, list and revoke tokens for scripts and services."),
    Entry(
        "client tokens create",
        "Make a token for a script or a service, and print it: this once.",
        "modelbox.cli.client.people:create_token",
    ),
    Entry("client tokens list", "List your tokens, newest first, those that ended included.", "modelbox.cli.client.people:list_tokens"),
    Entry(
        "client tokens revoke",
        "Let a token open nothing any more: the one with this id, or all of yours with this name that still do.",
        "modelbox.cli.client.people:revoke_token",
    ),
    Entry(
        "client audit",
        "List who did what, when, from where and through which door, in order.",
        "modelbox.cli.client.people:audit",
    ),
    Entry("client cluster-members", "List the servers that share one store.", "modelbox.cli.client.contents:cluster_members"),
    Entry("client query", "List the experiments for which a query holds.", "modelbox.cli.client.query:query"),
    Entry("client sql", "Print what an SQL statement selects from the views; it can only read.", "modelbox.cli.client.query:sql"),
    Entry("server", "A server of your own, for more than one machine or person."),
    Entry("server init-config", "Write a configuration file to start from.", "modelbox.cli.server.config:init_config"),
    Entry(
        "server check-config", "Say what is wrong with a configuration file, or what it means.", "modelbox.cli.server.config:check_config"
    ),
    Entry(
        "server show-config",
        "Print the settings that a server would have, from a file, the environment and the defaults.",
        "modelbox.cli.server.config:show_config",
    ),
    Entry(
        "server settings",
        "Explain the settings of a configuration file; those with PART in their names.",
        "modelbox.cli.server.config:settings",
    ),
    Entry("server start", "Start a server, and serve until Ctrl-C or SIGTERM.", "modelbox.cli.server.start:start"),
    Entry("server migrate", "Bring the schemas of databases up to date."),
    Entry("server migrate plan", "Say which steps the schemas lack; changes nothing.", "modelbox.cli.server.migrate:plan"),
    Entry("server migrate apply", "Apply the steps that the schemas lack, in order.", "modelbox.cli.server.migrate:apply"),
    Entry("server migrate status", "Say which steps were applied when, and which are pending.", "modelbox.cli.server.migrate:status"),
    Entry("server gc", "Remove bytes and points that nothing refers to, and what broken uploads left.", "modelbox.cli.server.gc:gc"),
    Entry(
        "server grant",
        "Give user:NAME, group:NAME or everyone a role on a namespace and all below it.",
        "modelbox.cli.client.people:grant",
    ),
    Entry("server revoke", "Take a role on a namespace away.", "modelbox.cli.client.people:revoke"),
    Entry(
        "server who",
        "List who was granted which role, on a namespace and below it or on all.",
        "modelbox.cli.client.people:who",
    ),
    Entry(
        "server limit",
        "Limit what user:NAME or namespace:PATH may have and do; without limits, show those that hold, and what there is.",
        "modelbox.cli.client.limits:limit",
    ),
    Entry("server token", "Print the token of a server that runs here, for clients on other machines.", "modelbox.cli.server.token:token"),
)
"""The list; a group stands before its commands."""
