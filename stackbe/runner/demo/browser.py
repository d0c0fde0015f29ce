"""A browser without JavaScript: pages, cookies, links and forms."""

from __future__ import annotations

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

TIMEOUT_SECONDS = 30


@dataclass
class Form:
    """A form of a page: where it goes and what it would send as it stands."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, tuple[str, str]] = field(default_factory=dict)
    text: str = ""


class _Reader(HTMLParser):
    """Collects forms, links and visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.text = ""
        self._form: Form | None = None
        self._select: str | None = None
        self._textarea: str | None = None
        self._label: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif tag == "a" and "href" in given:
            self._label.append(("a", given["href"], self.text))
        elif tag == "button":
            self._label.append(("button", f"{given.get('name', '')}={given.get('value', '')}", self.text))
        elif self._form is not None and "name" in given:
            self._take_field(tag, given)
        elif tag == "option":
            self._take_option(given)

    def _take_field(self, tag: str, given: dict[str, str]) -> None:
        form = self._form
        if form is None:
            return
        name, kind = given["name"], given.get("type", "text")
        if tag == "select":
            self._select = name
        elif tag == "textarea":
            self._textarea = name
            form.fields[name] = ""
        elif tag == "input" and kind == "submit":
            form.buttons[given.get("value", "")] = (name, given.get("value", ""))
        elif tag == "input" and (kind not in {"checkbox", "radio"} or "checked" in given):
            form.fields[name] = given.get("value", "on" if kind == "checkbox" else "")

    def _take_option(self, given: dict[str, str]) -> None:
        if self._form is None or self._select is None:
            return
        if "selected" in given or self._select not in self._form.fields:
            self._form.fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._textarea = None
        elif tag in {"a", "button"} and self._label and self._label[-1][0] == tag:
            _, target, before = self._label.pop()
            label = " ".join(self.text[len(before) :].split())
            if tag == "a":
                self.links.setdefault(label, target)
            elif self._form is not None:
                name, _, value = target.partition("=")
                self._form.buttons[label] = (name, value)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._form is not None:
            self._form.text += data
            if self._textarea is not None:
                self._form.fields[self._textarea] += data


@dataclass(frozen=True)
class Page:
    """An answered page."""

    url: str
    status: int
    body: str
    forms: tuple[Form, ...]
    links: dict[str, str]
    text: str

    def form_with(self, button: str) -> Form:
        """Return the form that a button of that label sends."""
        for form in self.forms:
            if any(button.lower() in label.lower() for label in form.buttons):
                return form
        have = [label for form in self.forms for label in form.buttons]
        raise LookupError(f"{self.url} has no button {button!r}; it has {have}")


class Browser:
    """Keeps cookies, follows redirects, submits forms."""

    def __init__(self) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )

    def open(self, url: str, data: bytes | None = None, referer: str = "") -> Page:
        """GET (or POST) a page."""
        request = urllib.request.Request(url, data=data)  # noqa: S310 - http(s) URLs of the servers under demonstration
        request.add_header("Accept", "text/html")
        if data is not None:
            request.add_header("Content-Type", "application/x-www-form-urlencoded")
            request.add_header("Origin", "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url)))
        if referer:
            request.add_header("Referer", referer)
        try:
            reply: Any = self._opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as refused:
            reply = refused
        body = reply.read().decode(errors="replace")
        reader = _Reader()
        reader.feed(body)
        status = reply.status if reply.status is not None else 0
        return Page(reply.url, status, body, tuple(reader.forms), reader.links, reader.text)

    def click(self, page: Page, label: str) -> Page:
        """Follow the link of that label."""
        for text, target in page.links.items():
            if label.lower() in text.lower():
                return self.open(urllib.parse.urljoin(page.url, target), referer=page.url)
        raise LookupError(f"{page.url} has no link {label!r}; it has {sorted(page.links)}")

    def submit(self, page: Page, button: str, **fields: str) -> Page:
        """Fill fields of the form that a button belongs to, and press it."""
        form = page.form_with(button)
        unknown = set(fields) - set(form.fields)
        if unknown:
            raise LookupError(f"the form has no {sorted(unknown)}; it has {sorted(form.fields)}")
        values = {**form.fields, **fields}
        for label, (name, value) in form.buttons.items():
            if button.lower() in label.lower() and name:
                values[name] = value
        target = urllib.parse.urljoin(page.url, form.action or page.url)
        encoded = urllib.parse.urlencode(values)
        if form.method == "get":
            return self.open(f"{target}?{encoded}", referer=page.url)
        return self.open(target, encoded.encode(), referer=page.url)
