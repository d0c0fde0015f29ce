"""An app's logo: copied once, shown from our own origin on the sign-in page and in mails."""

from __future__ import annotations

import base64
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client

from accounts.logo_models import AppLogo
from stackbe.kernel.transactions import reading
from tests.cast import Api
from tests.dashboard.conftest import seated
from tests.queue import queued, run_jobs
from tests.stack import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.django_db
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOST = {"Host": "localhost:8000"}


class Shelf:
    """A web server of the app's own, with what it is told to answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answer: tuple[int, bytes, dict[str, str]] = (200, PNG, {"Content-Type": "image/png"})
        self.asked: list[str] = []


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    """Serve on loopback, which the tests' deployment lets the app's URLs point to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            status, body, headers = found.answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Shelf(f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


def name_logo(company, url: str | None) -> Any:
    answer = Api(company.tenant_key).patch(f"/apps/{company.app}", {"settings": {"logoUrl": url}})
    run_jobs()
    return answer


def stored(company) -> AppLogo | None:
    with reading(company.scope):
        return AppLogo.objects.within(company.scope).first()


def confirm_page(company) -> Any:
    return Client().get(f"/auth/confirm?app={company.app}", headers=HOST)


def our_url(company, content: bytes = PNG) -> str:
    return f"http://localhost:8000/brand/{company.app}/{hashlib.sha256(content).hexdigest()}"


def test_the_logo_is_copied_and_shown_from_our_own_origin(acme, shelf):
    assert name_logo(acme, f"{shelf.url}/logo.png").status_code == 200

    page = confirm_page(acme)

    assert shelf.asked == ["/logo.png"]
    assert f'src="{our_url(acme)}"' in page.content.decode()
    assert shelf.url not in page.content.decode()
    policy = dict(
        part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";") if " " in part.strip()
    )
    assert policy["img-src"] == "'self' data:"
    shown = Client().get(our_url(acme).removeprefix("http://localhost:8000"), headers=HOST)
    assert (shown.status_code, shown.content) == (200, PNG)
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "immutable" in shown.headers["Cache-Control"]
    assert not shown.cookies


def test_mails_show_the_same_copy_to_everybody(acme, shelf, mailbox):
    name_logo(acme, f"{shelf.url}/logo.png")
    for email in ("ada@example.com", "bob@example.com"):
        Api(acme.key).post(f"/apps/{acme.app}/auth/magic-link", {"email": email})

    for mail in mailbox():
        assert f'<img src="{our_url(acme)}"' in mail["html"]
        assert "127.0.0.1" not in mail["html"]
    assert len(shelf.asked) == 1


def test_without_a_logo_the_name_and_the_colour_stand_alone(acme, mailbox):
    Api(acme.tenant_key).patch(
        f"/apps/{acme.app}", {"settings": {"emailFromName": "Acme Shop", "brandColor": "#aa1122"}}
    )
    Api(acme.key).post(f"/apps/{acme.app}/auth/magic-link", {"email": "ada@example.com"})

    mail = mailbox.latest("ada@example.com")

    assert mail["from"] == "Acme Shop <no-reply@localhost>"
    assert "#aa1122" in mail["html"]
    assert "<img" not in mail["html"]
    page = confirm_page(acme).content.decode()
    assert "Sign in to Acme Shop" in page
    assert "#aa1122" in page
    assert "/brand/" not in page


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, b"", {}), "answered 404"),
        ((302, b"", {"Location": "http://127.0.0.1:9/"}), "answered 302"),
        ((200, b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", {"Content-Type": "image/svg+xml"}), "SVG"),
        ((200, b"<html>", {"Content-Type": "image/png"}), "no PNG"),
        ((200, PNG + b"\0" * 128 * 1024, {}), "larger than 128 KiB"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_picture_is_not_shown_and_the_settings_say_why(acme, shelf, answer, words):
    shelf.answer = answer

    name_logo(acme, f"{shelf.url}/logo.png")

    assert words in stored(acme).trouble
    assert "/brand/" not in confirm_page(acme).content.decode()
    html = seated(acme).get("settings").content.decode()
    assert "The logo is not shown" in html
    assert words in html


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "metadata.google.internal"])
def test_no_logo_is_fetched_from_where_tenants_may_not_reach(acme, host, settings):
    settings.ALLOW_LOCAL_WEBHOOKS = False

    name_logo(acme, f"https://{host}/logo.png")

    found = stored(acme)
    assert found is None or (found.trouble and found.content is None)


def test_a_server_that_is_not_there_is_a_sentence(acme):
    name_logo(acme, f"http://127.0.0.1:{free_port()}/logo.png")

    assert "could not be asked" in stored(acme).trouble


def test_another_logo_takes_the_place_of_the_first_and_none_takes_it_away(acme, shelf):
    name_logo(acme, f"{shelf.url}/logo.png")
    shelf.answer = (200, b"GIF89a-and-more", {})
    name_logo(acme, f"{shelf.url}/other.gif")

    assert our_url(acme, b"GIF89a-and-more") in confirm_page(acme).content.decode()
    assert Client().get(our_url(acme).removeprefix("http://localhost:8000"), headers=HOST).status_code == 404
    name_logo(acme, None)
    assert stored(acme) is None
    assert "/brand/" not in confirm_page(acme).content.decode()


def test_until_the_worker_has_copied_it_no_logo_is_shown(acme, shelf):
    Api(acme.tenant_key).patch(f"/apps/{acme.app}", {"settings": {"logoUrl": f"{shelf.url}/logo.png"}})

    assert [name for name, _ in queued()] == ["accounts.copy_logo"]
    assert "/brand/" not in confirm_page(acme).content.decode()
    assert shelf.asked == []


def test_a_logo_is_shown_for_its_own_app_alone(acme, globex, shelf):
    name_logo(acme, f"{shelf.url}/logo.png")

    other = our_url(acme).replace(acme.app, globex.app).removeprefix("http://localhost:8000")
    assert Client().get(other, headers=HOST).status_code == 404
    assert "/brand/" not in confirm_page(globex).content.decode()


def test_the_settings_page_takes_a_logo(acme, shelf):
    desk = seated(acme)
    fields = {
        "name": "Acme",
        "logo_url": f"{shelf.url}/logo.png",
        "magic_link_expiry_minutes": 15,
        "access_token_ttl_minutes": 15,
        "grace_period_days": 7,
        "callback_urls": "http://localhost:3000/callback",
    }

    assert desk.post("settings", **fields).status_code == 200
    run_jobs()

    assert our_url(acme) in confirm_page(acme).content.decode()
