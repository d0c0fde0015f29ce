"""The state folder of a running copy and its environment file.

The folder holds what must outlive a restart and must never be committed: the embedded database, the
secrets of this copy, logs and stamps. Deleting it gives a copy that starts from nothing.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import pwd
import secrets
import stat
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8000

DATABASE_URLS = {
    "DATABASE_URL": "stackbe_web",
    "DATABASE_OWNER_URL": "stackbe_owner",
    "DATABASE_WORKER_URL": "stackbe_worker",
    "DATABASE_STAFF_URL": "stackbe_staff",
}


class RunnerError(Exception):
    """Something the person at the keyboard can act on; its text is the whole message."""


def server_account() -> pwd.struct_passwd | None:
    """The account PostgreSQL runs under when we are root, which it refuses to be; None for anybody else."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    message = (
        "You are root, and PostgreSQL refuses to run as root. There is no user 'postgres' or 'nobody' to run it as: "
        "use another account, or set DATABASE_URL to a PostgreSQL of your own."
    )
    raise RunnerError(message)


def reachable(folder: Path, account: pwd.struct_passwd | None) -> bool:
    """Whether the account that runs PostgreSQL could walk into a folder (which need not exist yet)."""
    if account is None:
        return True
    while not folder.exists():
        folder = folder.parent
    asked = subprocess.run(
        ["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)],
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        check=False,
    )
    return asked.returncode == 0


def home() -> Path:
    """The state folder: STACKBE_HOME, else `.stackbe` in the repository.

    Root's PostgreSQL runs as another account. Where that account cannot reach the repository (a clone
    under /root), the folder moves, whole, to one named after the repository under /var/tmp: secrets and the
    database they encrypt stay together.
    """
    chosen = os.environ.get("STACKBE_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    beside = REPOSITORY / ".stackbe"
    if reachable(REPOSITORY if not beside.exists() else beside, server_account()):
        return beside
    digest = hashlib.sha256(str(REPOSITORY).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"stackbe-{digest}"  # noqa: S108 - private_folder() refuses one that is not ours


def private_folder(folder: Path) -> Path:
    """Make a folder that only we can list, or refuse one that somebody else laid in our way.

    Root's folder may be walked through (0711), because its PostgreSQL is another account; nobody's may be listed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            message = f"{folder} exists and is not a folder of yours. Remove it, or set STACKBE_HOME to another folder."
            raise RunnerError(message)
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        message = (
            f"{folder} cannot be written ({error.strerror}). Clone the repository to a folder that you can write to, "
            "or set STACKBE_HOME to one."
        )
        raise RunnerError(message) from error
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: two commands started in the same second take turns. It falls with the process that holds it."""
    with open(path, "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def new_environment() -> dict[str, str]:
    """Fresh secrets for a development copy, under the names that settings reads."""
    master = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "STACKBE_ENV": "development",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "STACKBE_MASTER_KEY": f"dev1:{master}",
        "STACKBE_ALLOW_LOCAL_WEBHOOKS": "1",
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(24)}",
        "STRIPE_CLIENT_ID": f"ca_{secrets.token_hex(16)}",
        "STRIPE_PLATFORM_ENDPOINT_ID": str(uuid.uuid4()),
        "STRIPE_CONNECT_ENDPOINT_ID": str(uuid.uuid4()),
        "STRIPE_PLATFORM_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(24)}",
        "STRIPE_CONNECT_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(24)}",
        **addresses(DEFAULT_PORT),
    }


def kept_in(folder: Path) -> dict[str, str]:
    """Where a development copy keeps what a deployment keeps on another machine."""
    return {"BACKUP_DIR": str(folder / "backups"), "AUDIT_HEADS": str(folder / "heads")}


def addresses(port: int) -> dict[str, str]:
    """Where the servers of `up --port` are found.

    The sandbox stands on another host name than we do, as Stripe would, so that the two never share cookies.
    """
    return {
        "BASE_URL": f"http://localhost:{port}",
        "STRIPE_API_BASE": f"http://127.0.0.1:{port + 1}",
        "STRIPE_CONNECT_BASE": f"http://127.0.0.1:{port + 1}",
    }


def read_environment(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of an environment file; empty when there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def write_environment(path: Path, values: dict[str, str]) -> None:
    """Write an environment file that only its owner reads, whole or not at all."""
    text = "# Secrets of this development copy. Never commit it; delete the folder to start anew.\n"
    text += "".join(f"{name}={value}\n" for name, value in values.items())
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def development_environment(folder: Path, *, port: int | None = None) -> dict[str, str]:
    """This copy's environment, made with random secrets the first time.

    A variable that a newer version needs is added to an older file. `port` moves the copy to
    another port for good, so that later commands name the addresses that `up` serves.
    """
    path = private_folder(folder) / "env"
    with locked(folder / "env.lock"):
        kept = read_environment(path)
        values = {**new_environment(), **kept}
        if port is not None:
            values |= addresses(port)
        if values != kept:
            write_environment(path, values)
        path.chmod(0o600)
    return values


def overlay(kept: dict[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """What the environment file adds to an environment: whatever is set there wins.

    Somebody who sets a Stripe key means Stripe, so none of the sandbox's variables join it: their
    key is never sent to the sandbox, and the sandbox's addresses never stand beside it.
    """
    own_stripe = bool(environment.get("STRIPE_SECRET_KEY"))
    return {
        name: value
        for name, value in kept.items()
        if name not in environment and not (own_stripe and name.startswith("STRIPE_"))
    }


def uses_sandbox(environment: Mapping[str, str]) -> bool:
    """Whether calls to Stripe end on this machine."""
    return urlsplit(environment.get("STRIPE_API_BASE", "")).hostname in {"localhost", "127.0.0.1"}
