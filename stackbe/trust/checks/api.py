"""API security (S1 to S5)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from django.db import connection

from accounts.services.imports_rows import safe_cell
from stackbe.kernel import limits
from stackbe.kernel.ids import encode, new_id
from stackbe.trust.checks.asking import as_role, ask, ask_json
from stackbe.trust.checks.shapes import NotRun
from webhooks.signing import key_of, new_secret, sign

if TYPE_CHECKING:
    from stackbe.trust.checks.shapes import Found

HOSTILE = "https://hostile.example"
UNAUTHORIZED, BAD_REQUEST, SERVER_FAILED = 401, 400, 500
ALLOWED = 3
# One of each kind that is counted apart: the API, an unknown URL, a page, a page's error, a file, what machines watch.
COUNTED = ("/v1/openapi.json", "/v1/nowhere", "/security", "/nowhere", "/static/none", "/healthz")
SLOW_SECONDS = 2.0
INJECTION = "'; select pg_sleep(3); --"
SCRIPT = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
LANGUAGES = ("language-python", "language-js", "language-php", "language-java")


def limits_and_credentials(found: Found) -> None:
    """Exceed a bucket of our own, read the limit off an answer, and call without and with wrong credentials."""
    bucket = f"trust:{new_id()}"
    passed = [limits.take(bucket, ALLOWED).ok for _ in range(ALLOWED + 1)]
    found.need(
        passed == [True] * ALLOWED + [False], "The limiter counts exactly.", "The limiter lets through too much."
    )
    silent = [path for path in COUNTED if "x-ratelimit-limit" not in ask("GET", path).headers]
    found.need(not silent, "The API, pages and files tell their limit.", f"No limit is told: {', '.join(silent)}.")
    for credential in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Bearer nobody.no.body"}):
        told = ask("GET", "/v1/customers", headers=credential).status
        found.need(told == UNAUTHORIZED, "Nobody calls without a credential.", f"Without a credential: {told}.")


def cross_origin(found: Found) -> None:
    """Ask as a page of a foreign origin, before and in the call."""
    asked = {
        "Origin": HOSTILE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    answers = [
        ask("OPTIONS", "/v1/customers", headers=asked),
        ask("OPTIONS", f"/v1/apps/{_an_app()}/auth/magic-link", headers=asked),
        ask("GET", "/v1/openapi.json", headers={"Origin": HOSTILE}),
        ask("GET", "/v1/openapi.json", headers={"Origin": "null"}),
    ]
    told = [answer for answer in answers if "access-control-allow-origin" in answer.headers]
    found.need(not told, "A foreign origin is told nothing.", "A foreign origin may read answers.")
    varied = all("origin" in answer.headers.get("vary", "").lower() for answer in answers)
    found.need(varied, "Answers vary by origin.", "An answer does not vary by origin.")
    lent = [answer for answer in answers if answer.headers.get("access-control-allow-credentials") == "true"]
    found.need(not lent, "Credentials are never allowed across origins.", "Credentials are allowed across origins.")


def validation(found: Found) -> None:
    """Send what is malformed, unknown and hostile; every answer must be a refusal that says why, and nothing runs."""
    unknown = ask_json(f"/v1/apps/{_an_app()}/auth/verify", {"token": "x", "surprise": 1})
    named = unknown.status == BAD_REQUEST and "surprise" in unknown.json().get("fields", {})
    found.need(named, "Unknown fields are refused by name.", f"An unknown field is answered with {unknown.status}.")
    broken = ask("POST", "/v1/tenants", b"{", {"Content-Type": "application/json"})
    found.need(broken.status == BAD_REQUEST, "Broken JSON is refused.", f"Broken JSON: {broken.status}.")
    page = ask("GET", f"/login?next={SCRIPT}")
    found.need("<script>alert" not in page.text, "Pages escape what they are given.", "A page runs what it is given.")
    cells = [safe_cell(start + "1+1") for start in ("=", "+", "-", "@")]
    found.need(all(c.startswith("'") for c in cells), "Exports hold no formulas.", "An export holds a formula.")


def injection(found: Found) -> None:
    """Send SQL where a value belongs, over the network and to the database itself."""
    binding = connection.settings_dict.get("OPTIONS", {}).get("server_side_binding")
    found.need(binding, "Values travel apart from statements.", "Values are written into statements.")
    with connection.cursor() as cursor:
        cursor.execute("select %s::text", [INJECTION])
        back = cursor.fetchone()
    found.need(back == (INJECTION,), "A hostile value comes back as it went.", "A hostile value was read as SQL.")
    started = time.monotonic()
    answers = [
        ask_json(f"/v1/apps/{_an_app()}/auth/verify", {"token": INJECTION}),
        ask("GET", "/v1/apps/'%3B%20select%20pg_sleep(3)%3B%20--/.well-known/jwks.json"),
    ]
    crashed = [answer for answer in answers if answer.status >= SERVER_FAILED]
    quick = time.monotonic() - started < SLOW_SECONDS + len(answers)
    found.need(not crashed and quick, "SQL sent to the API is a value.", "SQL sent to the API crashed or ran.")


def webhook_signatures(found: Found) -> None:
    """Sign a body as we do, and verify it as Standard Webhooks describes it, changed ones too."""
    secret, moment, body = new_secret(), int(time.time()), b'{"id":"probe"}'
    headers = sign([secret], "msg_probe", moment, body)
    good = _verifies(secret, headers, body)
    changed = [
        _verifies(secret, headers, body + b" "),
        _verifies(new_secret(), headers, body),
        _verifies(secret, {**headers, "webhook-timestamp": str(moment + 1)}, body),
    ]
    found.need(
        good and not any(changed),
        "What we sign verifies, and nothing that was changed does.",
        "A signature fails, or holds for what was changed.",
    )
    guide = ask("GET", "/docs/webhooks")
    found.need(
        all(language in guide.text for language in LANGUAGES),
        "The guide shows how to verify in four languages.",
        "The guide does not show how to verify in four languages.",
    )


def _verifies(secret: str, headers: dict[str, str], body: bytes) -> bool:
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(each, f"v1,{wanted}") for each in headers["webhook-signature"].split())


def _an_app() -> str:
    try:
        with as_role("staff") as staff:
            row = staff.execute(b"select id from accounts_app where archived_at is null order by id desc").fetchone()
    except NotRun:
        row = None
    return encode("app", row[0] if row else new_id())
