"""What manage.py does with a command line: the environment it needs, the database it needs, then the command.

A deployment sets DATABASE_URL and STACKBE_ENV and is left alone. A copy without them is a development copy: it gets its
virtual environment, its secrets and its own PostgreSQL, whichever command is asked for first.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from stackbe.runner import state, venv
from stackbe.runner.state import RunnerError, kept_in

# Commands of ours, by the module of this package whose main(argv) they call, and the locks that they want installed.
OWN_COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "up": ("up", ()),
    "test": ("suite", ("test",)),
    "demo": ("demo", ("demo",)),
    "roles": ("roles", ()),
}
# They want what only a development copy has, so they install it.
DEVELOPMENT_COMMANDS = {"up", "test", "demo"}
# They change tables or look after accounts, so they run as the role that owns them.
OWNER_COMMANDS = {
    "changepassword",
    "createcachetable",
    "createsuperuser",
    "dbshell",
    "flush",
    "inspectdb",
    "makemigrations",
    "migrate",
    "optimizemigration",
    "remove_stale_contenttypes",
    "showmigrations",
    "sqlflush",
    "sqlmigrate",
    "squashmigrations",
}
# They look at all tenants' rows and change none.
STAFF_COMMANDS = {"verify_audit"}
WORKER_COMMANDS = {"archiver", "backup", "dispatcher", "drill", "procrastinate", "rotate_keys", "trust", "worker"}
# They need settings, but no database that answers.
OFFLINE_COMMANDS = {
    "--help",
    "-h",
    "--version",
    "collectstatic",
    "restore",
    "sbom",
    "diffsettings",
    "findstatic",
    "help",
    "startapp",
    "version",
}


OVERVIEW = """StackBE's own commands:

    up            start a whole development copy, and print where to click
    demo          play the main job against the running copy, from sign-up to a signed webhook
    test          run every test, on a real PostgreSQL
    new_tenant    make a tenant with an app and keys to script against (--json)
    staff_link    print the link that makes the first administrator of the staff console
    connect_stripe  become a Connect platform step by step, to a first payment (--pay)
    doctor        say which of Stripe's secrets was pasted where, and whether mail arrives (--mail)
    reconcile     bring every app in step with Stripe (--dry-run only says what differs)
    backup        take an encrypted backup of the whole database
    drill         restore the newest backup beside it and prove that it is whole (--to TIME)
    trust         check every promise of the security page on this deployment
    restore       unpack a backup at a chosen second, for a server of your own
    rotate_keys   replace keys while everything runs (--dry-run counts)
    sbom          print the bill of materials (CycloneDX)
    verify_audit  go through the audit log and find what was edited, deleted, swapped or cut off
    roles         make the database and its roles for a deployment

The framework's, for the same database:

"""


def run(argv: list[str]) -> int:
    """Run one command line; the answer is the exit status. What the person can mend is said in one sentence."""
    try:
        return _run(argv)
    except RunnerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _run(argv: list[str]) -> int:
    command = argv[1] if len(argv) > 1 else "help"
    module, locks = OWN_COMMANDS.get(command, (None, ()))
    if command in DEVELOPMENT_COMMANDS or not venv.deployed():
        venv.ensure(*locks)
        venv.enter(argv)
    if module is not None:
        os.environ |= client_environment(command)
        return int(import_module(f"stackbe.runner.{module}").main(argv[2:]) or 0)
    os.environ |= environment_for(command)
    if command in {"help", "--help", "-h"} and len(argv) <= 2:  # noqa: PLR2004 - the program's name and `help`
        sys.stdout.write(OVERVIEW)
        sys.stdout.flush()
    import_module("django.core.management").execute_from_command_line(argv)
    return 0


def client_environment(command: str) -> dict[str, str]:
    """What the demonstration client may know of this copy: where it is served, and no secret."""
    if command != "demo":
        return {}
    kept = state.read_environment(state.home() / "env")
    names = state.addresses(state.DEFAULT_PORT)
    return {name: kept[name] for name in names if name in kept and name not in os.environ}


def is_development() -> bool:
    """Whether this copy brings its own secrets: development is asked for, or nothing at all is set."""
    chosen = os.environ.get("STACKBE_ENV")
    return chosen == "development" or (chosen is None and not os.environ.get("DATABASE_URL"))


def role_for(command: str) -> str:
    """Which database role a Django command runs as."""
    if command in OWNER_COMMANDS:
        return "owner"
    if command in STAFF_COMMANDS:
        return "staff"
    return "worker" if command in WORKER_COMMANDS else "web"


def environment_for(command: str) -> dict[str, str]:
    """The variables that a Django command lacks; what is set already stays.

    Starts the embedded server when it is this copy's database and the command will ask it something.
    """
    found = {"DJANGO_SETTINGS_MODULE": "stackbe.settings", "STACKBE_ROLE": role_for(command)}
    if is_development():
        folder = state.home()
        found |= state.overlay(state.development_environment(folder), os.environ)
        found |= {"STATIC_ROOT": str(folder / "static"), **kept_in(folder)}
        if not os.environ.get("DATABASE_URL"):
            # Imported by name: it needs the packages of the virtual environment.
            devdb = import_module("stackbe.runner.devdb")
            if command in OFFLINE_COMMANDS:
                found |= devdb.server().environment()
            else:
                found |= devdb.start()
    return {name: value for name, value in found.items() if name not in os.environ}
