"""A command-line client of StackBE in one file, with nothing but Python's standard library.

    export STACKBE_URL=http://localhost:8000 STACKBE_KEY=sbk_test_…
    stackbe listen --forward-to localhost:3000/hooks    bring the app's events to this machine
    stackbe trigger customer.created                    make one (in a test app)
    stackbe resend evt_… --forward-to …                 bring one again
    stackbe catalogue pull > catalogue.json             read the whole catalogue as one document
    stackbe catalogue push catalogue.json               show what would change, ask, apply

The key needs the scopes webhooks:read (listen, resend), webhooks:write (trigger), plans:read and plans:write
(catalogue). A key of the whole tenant names its app in STACKBE_APP.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from getpass import getpass
from pathlib import Path
from typing import Any

VERSION = "0.1.0"
PAGE = 100
# An event is named when its change begins to write it and seen when that commits, so one with an earlier id may come
# later: this far back is looked at again and again, and what was brought already is known by its id.
OVERLAP_MS = 60_000
# How often, in looks, the whole overlap is read: in between a page of known events ends the look.
SWEEP_EVERY = 15
TRIES_WITHOUT_SERVER_SECONDS = 1.0
ANSWER_SECONDS = 30
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TOO_MANY, OK, MULTIPLE_CHOICES, SERVER_ERRORS = 429, 200, 300, 500


class Refused(Exception):
    """The API, or the person's own input, says no. The text says why and what to do."""


class Unreachable(Exception):
    """Nothing answered, or not with an answer of the API; it may answer later."""

    def __init__(self, reason: str, wait_seconds: float = 1.0) -> None:
        """Say what happened and how long to wait before asking again."""
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Api:
    """The API of one app."""

    def __init__(self, url: str, key: str, app: str | None) -> None:
        """Hold the credential; it travels in a header alone."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self.headers = {"Authorization": f"Bearer {key}", "User-Agent": f"stackbe-cli/{VERSION}"}
        if app:
            self.headers["X-StackBE-App"] = app

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON; raises `Refused` and `Unreachable`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/v1{path}", data=data, method=method)  # noqa: S310  # the person's own
        for name, value in self.headers.items():
            request.add_header(name, value)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as reply:  # noqa: S310  # likewise
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as refused:
            raise _explained(refused) from None
        except (OSError, ValueError) as failure:
            raise Unreachable(f"{self.url} does not answer ({failure}).") from None

    def pages(self, path: str, **query: str) -> Iterator[list[dict[str, Any]]]:
        """Return a list's pages, newest first, as they are asked for."""
        cursor: str | None = None
        while True:
            asked = {**query, "limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            page = self.call("GET", f"{path}?{urllib.parse.urlencode(asked)}")
            yield page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                return


def _explained(refused: urllib.error.HTTPError) -> Exception:
    """Return an error answer as a sentence."""
    try:
        told = json.loads(refused.read())
        message = told["message"]
        sentences = message if isinstance(message, list) else [message]
        for name, complaints in (told.get("fields") or {}).items():
            sentences += [f"{name}: {' '.join(map(str, complaints))}"]
        text = f"{' '.join(sentences)} ({told['code']}, request {told['requestId']})"
    except (ValueError, KeyError, TypeError):
        text = f"{refused.url} answered {refused.code} in a way that is not StackBE's. Is STACKBE_URL right?"
    if refused.code == TOO_MANY or refused.code >= SERVER_ERRORS:
        given = refused.headers.get("Retry-After", "")
        return Unreachable(text, float(given) if given.isdigit() else 1.0)
    return Refused(text)


def made_at(event_id: str) -> int:
    """Return the Unix milliseconds that are in an event's id (a UUIDv7 in base32)."""
    value = 0
    for character in event_id.rpartition("_")[2]:
        value = value << 5 | ALPHABET.index(character)
    return value >> 80


class Forwarder:
    """Brings events to one address, signed as StackBE signs them (Standard Webhooks)."""

    def __init__(self, address: str, secret: str) -> None:
        """Take `localhost:3000/hooks` or a whole URL, and the secret that its server verifies with."""
        self.url = address if "://" in address else f"http://{address}"
        if urllib.parse.urlsplit(self.url).scheme not in {"http", "https"}:
            raise Refused("--forward-to takes an address such as localhost:3000/hooks.")
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        # Whatever proxy the shell names, this is for a server next door; and a redirect is an answer.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def send(self, event: dict[str, Any]) -> tuple[int, int]:
        """Return the status that came back and the milliseconds it took; raises `Unreachable` when nobody is there."""
        body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
        request = urllib.request.Request(self.url, data=body, method="POST")  # noqa: S310  # the person's own
        for name, value in self._headers(event["id"], body).items():
            request.add_header(name, value)
        began = time.monotonic()
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as reply:
                status = reply.status
        except urllib.error.HTTPError as answer:
            status = answer.code
        except TimeoutError:
            status = 0
        except OSError as failure:
            if isinstance(getattr(failure, "reason", None), TimeoutError):
                status = 0
            else:
                raise Unreachable(f"{self.url} does not answer ({getattr(failure, 'reason', failure)}).") from None
        return status, round((time.monotonic() - began) * 1000)

    def _headers(self, event_id: str, body: bytes) -> dict[str, str]:
        moment = str(int(time.time()))
        signed = f"{event_id}.{moment}.".encode() + body
        signature = base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        return {
            "Content-Type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": moment,
            "webhook-signature": f"v1,{signature}",
        }


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


class Memory:
    """How far a listener came, and its secret: in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a damaged file counts as none."""
        self.path = path
        try:
            told = json.loads(path.read_text())
            self.secret: str = told["secret"]
            self.through: int | None = told["through"]
            self.seen: dict[str, int] = {str(event): int(moment) for event, moment in told["seen"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
            self.through, self.seen = None, {}

    def note(self, event_id: str) -> None:
        """Remember that an event was brought, and forget what no look can find again."""
        moment = made_at(event_id)
        self.seen[event_id] = moment
        self.through = max(self.through or 0, moment)
        horizon = self.through - 2 * OVERLAP_MS
        self.seen = {event: made for event, made in self.seen.items() if made >= horizon}
        self.save()

    def save(self) -> None:
        """Write it whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = self.path.with_suffix(".new")
        told = {"secret": self.secret, "through": self.through, "seen": self.seen}
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(told, file)
        beside.replace(self.path)


def memory_of(api: Api, address: str | None) -> Memory:
    """Return the memory of listening to this app for this address."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "stackbe"
    about = json.dumps([api.url, api.headers.get("X-StackBE-App"), api.headers["Authorization"], address])
    return Memory(folder / f"listen-{hashlib.sha256(about.encode()).hexdigest()[:16]}.json")


class Listener:
    """Brings every event of an app, oldest first, each at least once."""

    def __init__(
        self, api: Api, memory: Memory, forwarder: Forwarder | None, *, types: list[str], every: float
    ) -> None:
        """Without a forwarder events are only shown."""
        self.api, self.memory, self.forwarder = api, memory, forwarder
        self.types, self.every = types, every
        self.looks = 0

    def run(self) -> None:
        """Look again and again; what cannot be reached is waited for."""
        complained = ""
        while True:
            try:
                self.look()
                complained, wait = "", self.every
            except Unreachable as failure:
                wait = failure.wait_seconds
                if str(failure) != complained:
                    complained = str(failure)
                    say(f"waiting: {complained}")
            time.sleep(wait)

    def look(self) -> None:
        """Bring what is new."""
        through = self.memory.through
        if through is None:
            raise RuntimeError("a listener begins somewhere")
        since = datetime.fromtimestamp((through - OVERLAP_MS) / 1000, tz=UTC).isoformat().replace("+00:00", "Z")
        is_sweep = self.looks % SWEEP_EVERY == 0
        self.looks += 1
        fresh: list[dict[str, Any]] = []
        for page in self.api.pages("/events", since=since):
            unknown = [event for event in page if event["id"] not in self.memory.seen]
            fresh += unknown
            if not unknown and not is_sweep:
                break
        for event in sorted(fresh, key=lambda event: str(event["id"])):
            if not self.types or event["type"] in self.types:
                bring(event, self.forwarder)
            self.memory.note(event["id"])

    def begin(self, *, from_now: bool) -> None:
        """Start where the last run stopped, or now: what has happened before is then known."""
        if self.memory.through is not None and not from_now:
            return
        self.memory.seen, self.memory.through = {}, OVERLAP_MS
        for page in self.api.pages("/events"):
            self.memory.seen |= {event["id"]: made_at(event["id"]) for event in page}
            self.memory.through = max([self.memory.through, *self.memory.seen.values()])
            if not page or made_at(page[-1]["id"]) < self.memory.through - OVERLAP_MS:
                break
        self.memory.save()


def bring(event: dict[str, Any], forwarder: Forwarder | None) -> None:
    """Show an event and forward it; a server that is not there is waited for, so that nothing is lost."""
    line = f"{event['type']:<32} {event['id']}"
    if forwarder is None:
        say(line)
        return
    if event.get("data") is None:
        say(f"{line}  its content was erased, not sent")
        return
    waited = False
    while True:
        try:
            status, took = forwarder.send(event)
        except Unreachable as failure:
            if not waited:
                say(f"waiting: {failure}")
            waited = True
            time.sleep(TRIES_WITHOUT_SERVER_SECONDS)
            continue
        answered = str(status) if status else "no answer in time"
        again = "" if OK <= status < MULTIPLE_CHOICES else f"  (again: stackbe resend {event['id']} --forward-to …)"
        say(f"{line}  → {answered} ({took} ms){again}")
        return


def say(sentence: str) -> None:
    """Print with the time."""
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)


def listen(api: Api, asked: argparse.Namespace) -> None:
    """Run until stopped."""
    memory = memory_of(api, asked.forward_to)
    if asked.secret:
        memory.secret = asked.secret
    memory.save()
    if asked.print_secret:
        print(memory.secret)
        return
    forwarder = Forwarder(asked.forward_to, memory.secret) if asked.forward_to else None
    types = [name for name in (asked.events or "").split(",") if name]
    listener = Listener(api, memory, forwarder, types=types, every=asked.every)
    signal.signal(signal.SIGTERM, _leave)
    resumed = memory.through is not None and not asked.from_now
    listener.begin(from_now=asked.from_now)
    where = f" to {forwarder.url}" if forwarder else ""
    say(f"{'goes on' if resumed else 'listens'}: events of {api.url} are brought{where}")
    if forwarder:
        say(f"verify with {memory.secret}")
    listener.run()


def _leave(*_: Any) -> None:
    raise KeyboardInterrupt


def resend(api: Api, asked: argparse.Namespace) -> None:
    """Bring one event again."""
    memory = memory_of(api, asked.forward_to)
    if asked.secret:
        memory.secret = asked.secret
    memory.save()
    event = api.call("GET", f"/events/{urllib.parse.quote(asked.event, safe='')}")
    bring(event, Forwarder(asked.forward_to, memory.secret))


def trigger(api: Api, asked: argparse.Namespace) -> None:
    """Make an event."""
    event = api.call("POST", "/test/events", {"type": asked.type})
    print(event["id"])


def pull(api: Api, asked: argparse.Namespace) -> None:
    """Write the catalogue down."""
    text = json.dumps(api.call("GET", "/catalogue"), indent=2, ensure_ascii=False) + "\n"
    if asked.file in {None, "-"}:
        sys.stdout.write(text)
    else:
        Path(asked.file).write_text(text)
        print(f"written to {asked.file}")


def push(api: Api, asked: argparse.Namespace) -> None:
    """Show what a document would change, and apply it once agreed to."""
    try:
        document = json.loads(sys.stdin.read() if asked.file == "-" else Path(asked.file).read_text())
    except (OSError, ValueError) as failure:
        raise Refused(f"{asked.file} cannot be read as JSON: {failure}") from None
    difference = api.call("PUT", "/catalogue?dryRun=true", document)
    print(json.dumps(difference, indent=2, ensure_ascii=False))
    if asked.dry_run:
        return
    if not asked.yes:
        if asked.file == "-" or not sys.stdin.isatty():
            raise Refused("Nothing was changed. Add --yes to apply it without being asked.")
        if input("Apply this? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise Refused("Nothing was changed.")
    api.call("PUT", "/catalogue", document)
    print("applied")


def parser() -> argparse.ArgumentParser:
    """Return what may be typed."""
    top = argparse.ArgumentParser(
        prog="stackbe", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--url", default=os.environ.get("STACKBE_URL", "http://localhost:8000"), help="or STACKBE_URL")
    top.add_argument(
        "--app", default=os.environ.get("STACKBE_APP"), help="app_… for a key of the tenant, or STACKBE_APP"
    )
    top.add_argument("--version", action="version", version=f"stackbe {VERSION}")
    verbs = top.add_subparsers(dest="verb", required=True)

    hear = verbs.add_parser("listen", help="bring the app's events to this machine")
    hear.add_argument(
        "--forward-to", metavar="ADDRESS", help="such as localhost:3000/hooks; without it events are shown"
    )
    hear.add_argument("--events", metavar="TYPES", help="only these, comma-separated")
    hear.add_argument("--from-now", action="store_true", help="leave out what happened since the last run")
    hear.add_argument("--every", type=float, default=0.5, metavar="SECONDS", help="between two looks")
    hear.add_argument("--secret", metavar="whsec_…", help="sign with this one and keep it")
    hear.add_argument("--print-secret", action="store_true", help="print the secret to verify with, and end")
    hear.set_defaults(run=listen)

    again = verbs.add_parser("resend", help="bring one event again")
    again.add_argument("event", metavar="evt_…")
    again.add_argument("--forward-to", metavar="ADDRESS", required=True)
    again.add_argument("--secret", metavar="whsec_…")
    again.set_defaults(run=resend)

    make = verbs.add_parser("trigger", help="make an event of a type, in a test app")
    make.add_argument("type", metavar="TYPE", help="such as customer.created")
    make.set_defaults(run=trigger)

    catalogue = verbs.add_parser("catalogue", help="plans as code").add_subparsers(dest="direction", required=True)
    down = catalogue.add_parser("pull", help="read the whole catalogue as one document")
    down.add_argument("file", nargs="?", help="written to, instead of printed")
    down.set_defaults(run=pull)
    up = catalogue.add_parser("push", help="make the catalogue what a document says")
    up.add_argument("file", help="or - for standard input")
    up.add_argument("--dry-run", action="store_true", help="only show what would change")
    up.add_argument("--yes", action="store_true", help="do not ask")
    up.set_defaults(run=push)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Do what was typed; return the exit code."""
    asked = parser().parse_args(arguments)
    try:
        key = os.environ.get("STACKBE_KEY") or (getpass("API key: ") if sys.stdin.isatty() else "")
        if not key:
            raise Refused("Put an API key into STACKBE_KEY.")
        if not key.isascii() or not key.isprintable():
            raise Refused("STACKBE_KEY does not look like an API key.")
        asked.run(Api(asked.url, key, asked.app), asked)
    except (Refused, Unreachable) as failure:
        print(f"stackbe: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
