"""The virtual environment of a copy: made once, filled from the hash-locked requirements, refilled when a lock changes.

Standard library only: this runs before there is anything else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from stackbe.runner.state import REPOSITORY, RunnerError

FOLDER = REPOSITORY / ".venv"
PYTHON = FOLDER / "bin" / "python"
LOCKS = {
    "runtime": REPOSITORY / "requirements.txt",
    "demo": REPOSITORY / ".requirements" / "demo.txt",
    "test": REPOSITORY / "tests" / "requirements.txt",
    "bench": REPOSITORY / ".requirements" / "bench.txt",
}
SCANNER, SCANNER_LOCK = FOLDER / "tls", REPOSITORY / ".requirements" / "tls.txt"
# What a deployment has installed by its own means when it calls manage.py.
DEPLOYED_PACKAGES = ("django", "rest_framework", "procrastinate", "stripe")


def inside() -> bool:
    """Whether this process already runs in the copy's virtual environment."""
    return FOLDER.exists() and Path(sys.prefix).resolve() == FOLDER.resolve()


def deployed() -> bool:
    """Whether a deployment brought its own packages: a database of its own, and an interpreter that has them.

    Nothing is ever installed there, whatever the name of the environment that it made.
    """
    has_packages = all(importlib.util.find_spec(name) is not None for name in DEPLOYED_PACKAGES)
    return bool(os.environ.get("DATABASE_URL")) and has_packages and (inside() or not FOLDER.exists())


def ensure(*wanted: str) -> None:
    """Make the environment and install the locks that are wanted, unless they are installed already."""
    missing = [name for name in ("runtime", *wanted) if not _is_installed(name)]
    if not missing:
        return
    with _one_at_a_time():
        if not _works():
            _make()
        for name in missing:
            if not _is_installed(name):
                _install(name)


def ensure_scanner() -> bool:
    """Make the environment of the TLS scanner beside ours, whose packages it could not share; say whether it stands."""
    stamp, lock = SCANNER / ".installed", SCANNER_LOCK.read_bytes()
    digest = hashlib.sha256(f"{SCANNER}\n".encode() + lock).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return True
    _say("Installing the TLS scanner")
    pip = [str(SCANNER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "--no-input"]
    for command in ([sys.executable, "-m", "venv", "--clear", str(SCANNER)], [*pip, "-r", str(SCANNER_LOCK)]):
        if subprocess.run(command, check=False).returncode:
            return False
    stamp.write_text(digest, encoding="utf-8")
    return True


def enter(argv: list[str]) -> None:
    """Replace this process by the same command inside the environment; returns only when it is there already."""
    if inside():
        return
    os.execv(PYTHON, [str(PYTHON), *argv])  # noqa: S606 - our own interpreter, our own arguments


def _stamp(name: str) -> Path:
    return FOLDER / f".installed-{name}"


def _digest(name: str) -> str:
    # The path is part of it: the scripts of an environment that was moved or copied name the old place.
    return hashlib.sha256(f"{FOLDER}\n".encode() + LOCKS[name].read_bytes()).hexdigest()


def _is_installed(name: str) -> bool:
    try:
        return PYTHON.exists() and _stamp(name).read_text(encoding="utf-8") == _digest(name)
    except FileNotFoundError:
        return False
    except PermissionError as error:
        message = (
            f"You may not read {error.filename}: {FOLDER} was made by another user of this machine. "
            "Run this as that user, or in a clone of your own."
        )
        raise RunnerError(message) from error


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    # The repository's folder itself is the lock: it exists before anything else does, and can be read-only.
    descriptor = os.open(REPOSITORY, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _works() -> bool:
    if not PYTHON.exists():
        return False
    probe = "import pip, sys; sys.exit(sys.prefix != sys.argv[1] or sys.version_info < (3, 11))"
    return subprocess.run([PYTHON, "-c", probe, FOLDER], capture_output=True, check=False).returncode == 0


def _make() -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        message = (
            f"This Python has no `venv` module. On Debian and Ubuntu: sudo apt-get install python{version}-venv "
            "(or python3-venv), then run this again."
        )
        raise RunnerError(message)
    _say(f"Making the virtual environment {FOLDER.name} (Python {version})")
    try:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir()
    except OSError as error:
        message = (
            f"{FOLDER} cannot be written ({error.strerror}). "
            "Clone the repository to a folder that you can write to, and run this there."
        )
        raise RunnerError(message) from error
    made = subprocess.run(
        [sys.executable, "-m", "venv", FOLDER], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if made.returncode:
        shutil.rmtree(FOLDER, ignore_errors=True)
        message = f"python{version} -m venv failed:\n{made.stdout.strip()}"
        raise RunnerError(message)


def _install(name: str) -> None:
    lock = LOCKS[name]
    total = len(re.findall(r"^[A-Za-z0-9]", lock.read_text(encoding="utf-8"), re.MULTILINE))
    shown = lock.relative_to(REPOSITORY)
    _say(f"Installing {shown}: {total} package{'' if total == 1 else 's'}, each checked against its hash")
    began = time.monotonic()
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--require-hashes", *quiet, "-r", lock]
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
        assert pip.stdout is not None  # noqa: S101 - PIPE was asked for
        seen = 0
        for line in pip.stdout:
            said.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                seen += 1
                _progress(seen, total, line.split(" ", 1)[1].split(" ", 1)[0].strip())
            elif line.startswith("Installing collected packages"):
                _progress(total, total, "unpacking")
    if pip.returncode:
        tail = "".join(said[-15:]).strip()
        message = (
            f"pip could not install {shown} (exit {pip.returncode}):\n{tail}\n"
            "It needs the package index (or its mirror in pip's configuration); run this again when it can be reached."
        )
        raise RunnerError(message)
    _stamp(name).write_text(_digest(name), encoding="utf-8")
    _say(f"  installed in {time.monotonic() - began:.0f} s")


def _progress(seen: int, total: int, what: str) -> None:
    text = f"  {min(seen, total)}/{total} {what}"
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text[:78]:<78}" + ("\r" if seen >= total else ""))
    elif seen % 20 == 0 or what == "unpacking":
        sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
