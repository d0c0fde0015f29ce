"""better-auth: installed as its lock says, where there is a node and an npm to do it."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "better-auth"
STAMP = FOLDER / "node_modules" / ".installed-from"
OLDEST_NODE = 20


class NotRun(Exception):
    """The reason why a server could not be measured on this machine."""


def installed():
    """Return the node that better-auth runs on, its packages in place; raise NotRun where that cannot be."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotRun("node and npm are not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        raise NotRun(f"it wants node {OLDEST_NODE}, this is {version}")
    lock = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == lock:
        return node
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise NotRun("npm ci failed: " + " ".join(line.removeprefix("npm error ") for line in said[:3]))
    STAMP.write_text(lock)
    return node


def seeded(node, environment, companies, sessions=0, links=0):
    """Make better-auth's tables, users, keys, sessions and links; return what opens them."""
    command = [node, "seed.mjs", str(companies), str(sessions), str(links)]
    done = subprocess.run(command, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"better-auth was not seeded:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)
