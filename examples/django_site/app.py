"""A small site whose customers sign in through StackBE: Django in one file.

    pip install django "pyjwt[crypto]"
    STACKBE_URL=http://localhost:8000 STACKBE_APP=app_… STACKBE_KEY=sbk_test_… python app.py

`SITE_URL` (default http://localhost:3000) must be where the browser sees it; `SITE_URL/callback` must be
one of the app's callback URLs, which it is for a new test app and the default. The key needs `auth:write`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.error
import urllib.request
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import django
import jwt
from django.conf import settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_GET, require_POST

if TYPE_CHECKING:
    from django.http import HttpRequest

STACKBE = os.environ["STACKBE_URL"].rstrip("/")
APP, KEY = os.environ["STACKBE_APP"], os.environ["STACKBE_KEY"]
SITE = os.environ.get("SITE_URL", "http://localhost:3000").rstrip("/")
SECURE = SITE.startswith("https:")
HOUR = 3600

settings.configure(
    SECRET_KEY=os.environ.get("SITE_SECRET") or secrets.token_urlsafe(50),  # it signs the CSRF cookie only
    ALLOWED_HOSTS=[urlsplit(SITE).hostname],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.csrf.CsrfViewMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    CSRF_COOKIE_SECURE=SECURE,
)
django.setup()

PAGE = engines["django"].from_string("""<!doctype html><html lang="en"><title>Notes</title>
<meta name="viewport" content="width=device-width"><h1>Notes</h1>
{% if said %}<p role="status">{{ said }}</p>{% endif %}
{% if person %}<p>Signed in as {{ person.email }}.</p>
<form method="post" action="/sign-out"><input type="hidden" name="csrfmiddlewaretoken" value="{{ csrf }}">
<button>Sign out</button></form>
{% else %}<form method="post" action="/sign-in"><input type="hidden" name="csrfmiddlewaretoken" value="{{ csrf }}">
<label>E-mail <input type="email" name="email" required></label> <button>Send me a link</button></form>{% endif %}""")


class RefusedError(Exception):
    """StackBE said no. `message` is fit for the person, `code` for the program."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(answer.get("message"))
        self.code = answer.get("code")


def stackbe(what: str, body: dict[str, Any], credential: str | None = None) -> dict[str, Any]:
    """Call StackBE's sign-in routes for this app and return what it answers."""
    url = f"{STACKBE}/v1/apps/{APP}/auth/{what}"
    request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 - the operator's own StackBE
    request.add_header("Content-Type", "application/json")
    if credential:
        request.add_header("Authorization", f"Bearer {credential}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - as above
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
            return found
    except urllib.error.HTTPError as refused:
        raise RefusedError(json.loads(refused.read())) from refused


@cache
def published_keys() -> jwt.PyJWKClient:
    """Return the app's public keys; they are asked for once in five minutes, and for a key not seen before."""
    return jwt.PyJWKClient(f"{STACKBE}/v1/apps/{APP}/.well-known/jwks.json", lifespan=300)


def person_in(token: str) -> dict[str, Any] | None:
    """Return whose session token it is without asking StackBE, None where it is not valid now.

    Raises `jwt.PyJWKClientConnectionError` when the keys had to be fetched and could not be.
    """
    try:
        key = published_keys().get_signing_key_from_jwt(token)
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["EdDSA"], audience=APP, issuer=STACKBE)
    except jwt.PyJWKClientConnectionError:
        raise
    except jwt.PyJWTError:  # not ours, altered, out of date, or signed with a key that is not published
        return None
    return claims


def page(request: HttpRequest, said: str = "", person: dict[str, Any] | None = None, status: int = 200) -> HttpResponse:
    """Show the one page of this site."""
    context = {"said": said, "person": person, "csrf": get_token(request)}
    return HttpResponse(PAGE.render(context), status=status, headers={"Referrer-Policy": "same-origin"})


def keep(response: HttpResponse, session: dict[str, Any]) -> HttpResponse:
    """Give the browser its tokens where no script can read them."""
    for name in ("sessionToken", "refreshToken"):
        response.set_cookie(name, session[name], max_age=30 * 24 * HOUR, httponly=True, secure=SECURE, samesite="Lax")
    return response


def forget(response: HttpResponse) -> HttpResponse:
    """Take the tokens back."""
    for name in ("sessionToken", "refreshToken"):
        response.delete_cookie(name, samesite="Lax")
    return response


def signed_in(request: HttpRequest) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return who this is, and the new session where the old token had to be renewed."""
    person = person_in(request.COOKIES.get("sessionToken", ""))
    if person or "refreshToken" not in request.COOKIES:
        return person, None
    try:
        session = stackbe("refresh", {"refreshToken": request.COOKIES["refreshToken"]})
    except RefusedError:
        return None, None
    return person_in(session["sessionToken"]), session


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Say who is signed in, or ask."""
    person, renewed = signed_in(request)
    response = page(request, person=person)
    if person is None:
        return forget(response)
    return keep(response, renewed) if renewed else response


@require_GET
def me(request: HttpRequest) -> HttpResponse:
    """Answer what the signed-in customer's token says: what a script of the site would ask."""
    person, renewed = signed_in(request)
    if person is None:
        return JsonResponse({"message": "Sign in first."}, status=401)
    response = JsonResponse({"customerId": person["sub"], "email": person["email"]})
    return keep(response, renewed) if renewed else response


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    """Have a link sent, and remember that this browser asked."""
    email = request.POST.get("email", "").strip()
    try:
        stackbe("magic-link", {"email": email, "redirectUrl": f"{SITE}/callback"}, KEY)
    except RefusedError as refused:
        return page(request, str(refused), status=400)
    response = page(request, "Look into your inbox: the link works for 15 minutes.")
    response.set_cookie("asked", email.lower(), max_age=HOUR, httponly=True, secure=SECURE, samesite="Lax")
    return response


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Exchange the one-time code for a session, in the browser that asked for it and for the address it named.

    Without that look, a link to this page would sign a stranger's browser in to the sender's account.
    """
    if "asked" not in request.COOKIES:
        return page(request, "Ask for the link in this browser, then open it here.", status=400)
    try:
        session = stackbe("verify", {"token": request.GET.get("token", "")})
    except RefusedError as refused:
        return page(request, f"{refused} Ask for a new link.", status=400)
    if session["email"].lower() != request.COOKIES["asked"]:
        return page(request, "That link was for another address. Ask for one here.", status=400)
    response = HttpResponseRedirect("/")
    response.delete_cookie("asked", samesite="Lax")
    return keep(response, session)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session at StackBE, which ends it everywhere, and here."""
    _, renewed = signed_in(request)
    token = renewed["sessionToken"] if renewed else request.COOKIES.get("sessionToken")
    try:
        stackbe("logout", {}, token)
    except RefusedError as refused:
        if refused.code not in {"SESSION_EXPIRED", "SESSION_INVALID", "UNAUTHORIZED"}:
            raise
    return forget(HttpResponseRedirect("/"))


urlpatterns = [
    path("", home),
    path("me", me),
    path("sign-in", sign_in),
    path("callback", callback),
    path("sign-out", sign_out),
]
application = get_wsgi_application()

if __name__ == "__main__":
    where = urlsplit(SITE)
    execute_from_command_line([sys.argv[0], "runserver", "--noreload", f"{where.hostname}:{where.port or 3000}"])
