"""How fast Stripe's inbox answers: events at a steady rate, each signed, each claimed, each queued.

    python3 manage.py up                      # in another shell
    python3 -m bench.inbox [--rate 50] [--seconds 60]

Makes a tenant with a sandbox account, sends events about objects that the account does not have, and prints one line
of JSON: the answers' times in milliseconds, from the moment at which each was due, so that a queue shows.
"""

import argparse
import hashlib
import hmac
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from stackbe.runner import state

SENDERS = 16
_connections = threading.local()


def signed_event(account, secret, *, at):
    """Return the body and the signature of an event about an invoice that nobody has."""
    identifier = uuid.uuid4().hex
    body = json.dumps(
        {
            "id": f"evt_{identifier}",
            "object": "event",
            "type": "invoice.updated",
            "account": account,
            "created": int(at),
            "livemode": False,
            "data": {"object": {"id": f"in_{identifier}", "object": "invoice"}},
        }
    ).encode()
    proof = hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()
    return body, f"t={int(at)},v1={proof}"


def send(base, path, account, secret, due):
    """Send one event when it is due; return how long after that its answer came."""
    time.sleep(max(0.0, due - time.monotonic()))
    body, signature = signed_event(account, secret, at=time.time())
    headers = {"Content-Type": "application/json", "Stripe-Signature": signature, "Host": base.netloc}
    if not hasattr(_connections, "held"):
        _connections.held = http.client.HTTPConnection(base.hostname, base.port, timeout=20)
    _connections.held.request("POST", path, body, headers)
    answer = _connections.held.getresponse()
    answer.read()
    if answer.status != 200:
        raise SystemExit(f"The inbox answered {answer.status}.")
    return (time.monotonic() - due) * 1000


def measure(base_url, path, account, secret, rate, seconds):
    """Send so many events a second for so long; return the figures."""
    base = urlsplit(base_url)
    begin = time.monotonic() + 0.5
    with ThreadPoolExecutor(SENDERS) as senders:
        jobs = [
            senders.submit(send, base, path, account, secret, begin + number / rate) for number in range(rate * seconds)
        ]
        times = sorted(job.result() for job in jobs)
    cut = statistics.quantiles(times, n=100)
    return {
        "events": len(times),
        "perSecond": rate,
        "p50Ms": round(cut[49], 1),
        "p99Ms": round(cut[98], 1),
        "worstMs": round(times[-1], 1),
    }


def main():
    """Measure a running copy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    asked = parser.parse_args()
    kept = {**state.read_environment(state.home() / "env"), **os.environ}
    made = subprocess.run(
        [sys.executable, "manage.py", "new_tenant", "--json"], capture_output=True, text=True, check=True
    )
    tenant = json.loads(made.stdout)
    path = f"/webhooks/stripe/{kept['STRIPE_CONNECT_ENDPOINT_ID']}"
    secret = kept["STRIPE_CONNECT_WEBHOOK_SECRETS"].split(",")[0]
    figures = measure(kept["BASE_URL"], path, tenant["stripeAccount"], secret, asked.rate, asked.seconds)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
