"""The command line: `rosettamq serve`, `rosettamq demo`, and what talks to a running broker.

Each command imports what it needs itself: the broker is to be ready within a second, and `--help`
at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.cli import access, topology
from gateway.cli.definitions import definitions
from gateway.cli.delayed import delayed
from gateway.cli.policies import policies


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rosettamq", prog_name="rosettamq")
def main() -> None:
    """One durable log, spoken in AMQP 0-9-1, STOMP and RocketMQ remoting."""


def _parse_folder(context: click.Context, parameter: click.Parameter, name: str) -> Path:
    """An empty variable of somebody's script must not make the current folder the data folder."""
    if not name:
        raise click.BadParameter("it has no name")
    return Path(name)


@main.command()
@click.option(
    "--data-dir",
    type=click.Path(),
    callback=_parse_folder,
    default="data",
    show_default=True,
    help="The folder that holds everything; made if missing.",
)
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A TOML file.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Override one setting, e.g. amqp.port=5673; may be repeated.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warn", "error"]),
    default="info",
    show_default=True,
)
def serve(
    data_dir: Path, config_file: Path | None, settings: Sequence[str], log_level: str
) -> None:
    """Run the broker until SIGTERM or SIGINT.

    Exit codes: 0 after a clean stop; 2 if a setting, the data folder or a port cannot be used.
    """
    from gateway.service.signals import exit_on_signals

    exit_on_signals()  # First of all: what comes next takes a while.
    from gateway.service.foreground import serve_until_stopped

    sys.exit(serve_until_stopped(data_dir, config_file, settings, log_level))


@main.command()
@click.option("--amqp", metavar="HOST:PORT", help="Use a broker that runs already: AMQP here,")
@click.option("--stomp", metavar="HOST:PORT", help="STOMP here,")
@click.option("--name-server", metavar="HOST:PORT", help="and its name server here.")
def demo(amqp: str | None, stomp: str | None, name_server: str | None) -> None:
    """Send orders in three languages; read each of them in the other two."""
    from gateway.demo.command import run_demo

    sys.exit(run_demo(amqp, stomp, name_server))


for _group in (*access.GROUPS, *topology.GROUPS, definitions, delayed, policies):
    main.add_command(_group)


if __name__ == "__main__":
    main(prog_name="rosettamq")
