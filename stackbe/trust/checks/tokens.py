"""Keys and tokens (K1, T1, T2)."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

from accounts.app_settings import AppSettings
from apikeys.text import PATTERN, generate
from stackbe.kernel.ids import encode, new_id
from stackbe.trust.checks.asking import Connection, as_role, ask, ask_json, number
from stackbe.trust.checks.scanning import texts

if TYPE_CHECKING:
    from stackbe.trust.checks.shapes import Found

DIGEST_BYTES, PREFIX_LENGTH = 32, 17
UNAUTHORIZED = 401
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{8,}\.")
LONGEST_MINUTES = 15
# Signing keys are replaced after 90 days, on a day that the worker is up.
OLDEST_KEY_DAYS = 97
KEYS_IN_THE_CLEAR = """
select count(*) from apikeys_apikey
where octet_length(digest) <> 32 or length(prefix) > 17 or (kind = 'secret' and text <> '')
"""
LONG_TOKENS = "select count(*) from accounts_app where (settings ->> 'access_token_ttl_minutes')::int > 15"
OLD_KEYS = """
select count(*) from accounts_signingkey where retired_at is null and created_at < now() - make_interval(days => %s)
"""
LONG_LINKS = """
select (select count(*) from accounts_magiclink where expires_at > created_at + interval '15 minutes 10 seconds')
     + (select count(*) from accounts_developerlink where expires_at > created_at + interval '15 minutes 10 seconds')
"""
OLD_LINKS = """
select (select count(*) from accounts_magiclink where expires_at < now() - interval '26 hours')
     + (select count(*) from accounts_developerlink where expires_at < now() - interval '26 hours')
"""
LOOSE_DIGESTS = """
select (select count(*) from accounts_magiclink where octet_length(token_digest) <> 32)
     + (select count(*) from accounts_developerlink where octet_length(token_digest) <> 32)
     + (select count(*) from accounts_refreshtoken where octet_length(digest) <> 32)
"""


def api_keys(found: Found) -> None:
    """Look at every stored key, look for one in the clear, and call with one that was never issued."""
    with as_role("staff") as staff:
        loose = number(staff, KEYS_IN_THE_CLEAR)
        found.need(loose == 0, "Every key is a prefix and a keyed hash.", f"{loose} keys are more than a hash.")
        # A publishable key is public by design and kept whole.
        hit = {table for table, text in texts(staff) if any(m[1] != "pub" for m in PATTERN.finditer(text))}
    found.need(not hit, "None lies readable in any table.", f"A key lies readable in {', '.join(sorted(hit))}.")
    answer = ask("GET", "/v1/me", headers={"Authorization": f"Bearer {generate('test').whole}"})
    found.need(answer.status == UNAUTHORIZED, "A key never issued is refused.", "A key never issued is let in.")


def session_tokens(found: Found) -> None:
    """Read lifetimes and ages of signing keys, and call with a token that nobody signed."""
    default = AppSettings().access_token_ttl_minutes
    with as_role("staff") as staff:
        long = number(staff, LONG_TOKENS) + (default > LONGEST_MINUTES)
        found.need(long == 0, "No app's tokens live for more than 15 minutes.", "Tokens live for more than 15 minutes.")
        old = number(staff, OLD_KEYS, [OLDEST_KEY_DAYS])
        if old:
            found.late(f"{old} signing keys should have been replaced by now.")
        app = _an_app(staff)
        hit = {table for table, text in texts(staff) if JWT.search(text)}
        found.need(not hit, "No token lies readable in any table.", f"A token lies in {', '.join(sorted(hit))}.")
    answer = ask("GET", f"/v1/apps/{app}/auth/session", headers={"Authorization": f"Bearer {_unsigned(app)}"})
    found.need(answer.status == UNAUTHORIZED, "A token that nobody signed is refused.", "An unsigned token is let in.")
    keys = ask("GET", f"/v1/apps/{app}/.well-known/jwks.json").json().get("keys", [])
    symmetric = [key for key in keys if key.get("kty") != "OKP" or "d" in key]
    found.need(not symmetric, "Signatures are EdDSA; the public keys are published.", "A signing key is not Ed25519.")


def sign_in_links(found: Found) -> None:
    """Read how long links live and what stays of them, open the page of one, and redeem one that never was."""
    with as_role("staff") as staff:
        found.need(number(staff, LONG_LINKS) == 0, "No link lives for more than 15 minutes.", "A link lives too long.")
        found.need(number(staff, LOOSE_DIGESTS) == 0, "Of a link there is a hash alone.", "A link is more than a hash.")
        left = number(staff, OLD_LINKS)
        if left:
            found.late(f"{left} expired links were not deleted within a day.")
        app = _an_app(staff)
    page = ask("GET", "/auth/confirm?app=" + app)
    quiet = page.headers.get("referrer-policy") == "no-referrer" and "no-store" in page.headers.get("cache-control", "")
    found.need(quiet, "The page of a link is kept out of caches and referrers.", "The page of a link may leak it.")
    answer = ask_json(f"/v1/apps/{app}/auth/verify", {"token": "mlk_never_was"})
    found.need(answer.status in range(400, 500), "A token that never was is refused.", "A made-up token is let in.")


def _an_app(staff: Connection) -> str:
    """Return the newest app's id, one that never was where there is none."""
    row = staff.execute(b"select id from accounts_app where archived_at is null order by id desc limit 1").fetchone()
    return encode("app", row[0] if row else new_id())


def _unsigned(app: str) -> str:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {"sub": encode("cust", new_id()), "aud": app, "sid": encode("ses", new_id()), "exp": 4102444800}
    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."
