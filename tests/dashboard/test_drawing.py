"""What templates ask for by name."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from accounts.templatetags import pages

TEMPLATES = Path(__file__).resolve().parent.parent.parent / "templates"


@pytest.mark.parametrize(
    ("cents", "currency", "shown"),
    [
        (4900, "usd", "$49.00"),
        (123456789, "eur", "€1,234,567.89"),
        (4900, "jpy", "¥4,900"),
        (4900, "chf", "49.00 CHF"),
        (4900, "KWD", "4.900 KWD"),
        (-500, "gbp", "−£5.00"),
        (0, "usd", "$0.00"),
        (None, "usd", "—"),
    ],
)
def test_money_is_written_as_people_write_it(cents, currency, shown):
    assert pages.money(cents, currency) == shown


@pytest.mark.parametrize("hostile", ["red", "#fff", "#12345g", "#0a6577;}body{x:y", "</style><script>", "", None])
def test_only_a_colour_gets_into_a_style_sheet(hostile):
    assert pages.brand_colour(hostile) == pages.OWN_COLOUR


@pytest.mark.parametrize(
    ("colour", "ink"), [("#ffffff", "#0f1a1b"), ("#000000", "#ffffff"), ("#b4430f", "#ffffff"), ("#ffd84d", "#0f1a1b")]
)
def test_ink_reads_on_its_ground(colour, ink):
    assert pages.ink_on(colour) == ink


def test_a_time_is_text_for_people_and_for_machines():
    moment = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)

    assert pages.stamp(moment) == '<time datetime="2026-03-01T09:05:00Z" data-relative>1 Mar 2026, 09:05 UTC</time>'
    assert pages.stamp(date(2026, 3, 1)) == '<time datetime="2026-03-01">1 Mar 2026</time>'
    assert pages.stamp(None, "never") == "never"


@pytest.mark.parametrize(
    ("used", "limit", "tone", "percent"),
    [(0, 100, "meter", "0.00"), (79, 100, "meter", "79.00"), (80, 100, "meter is-warn", "80.00"),
     (100, 100, "meter is-bad", "100.00"), (500, 100, "meter is-bad", "100.00"), (5, None, "meter", "0.00")],
)  # fmt: skip
def test_a_meter_warns_before_it_is_full(used, limit, tone, percent):
    drawn = pages.meter(used, limit)

    assert f'class="{tone}"' in drawn
    assert f'width="{percent}%"' in drawn


def test_a_chart_carries_its_figures_as_a_table():
    context = pages.bar_chart([("1 Nov", 3), ("2 Nov", 1200)], "Calls a day", "calls")

    assert context["ceiling"] == "2,000"
    assert [bar["value"] for bar in context["bars"]] == ["3", "1,200"]
    assert context["bars"][1]["height"] == "60.000"


def test_a_chart_of_nothing_is_drawn_too():
    assert pages.bar_chart([], "Nothing")["bars"] == []
    assert pages.sparkline([]) == ""
    assert pages.sparkline([0, 0, 0]).startswith("<svg")


def test_a_status_and_a_copied_text_are_escaped():
    assert "<b>" not in pages.badge("<b>")
    assert "<script>" not in pages.copyable("<script>")


SITE = [path for path in TEMPLATES.rglob("*.html") if "emails" not in path.parts]


@pytest.mark.parametrize("path", SITE, ids=[str(path.relative_to(TEMPLATES)) for path in SITE])
def test_a_template_keeps_to_the_content_policy_and_says_what_it_wants(path):
    text = path.read_text()

    assert not re.search(r"\sstyle\s*=", text), "style attributes are refused by the content policy"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "so are inline handlers"
    assert not re.search(r"<script(?![^>]*\ssrc=)", text), "and inline scripts"
    assert all("nonce=" in tag for tag in re.findall(r"<style[^>]*>", text))
    assert not re.search(r"(?:src|<link[^>]*href)=\"https?://", text), "nothing is loaded from elsewhere"
    assert "|safe" not in text
    assert "{% autoescape off" not in text
    assert "{% comment %}" in text
