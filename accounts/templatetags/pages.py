"""What templates ask for by name: icons, money, times, badges and drawn figures.

Everything drawn is SVG made here, with geometry in attributes: the content policy allows no style
attribute, and a page that carries its chart needs no script to show it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django import template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.visiting import Visit
from stackbe.kernel.currencies import digits_of, in_units
from stackbe.kernel.fields import MASK

register = template.Library()

HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
OWN_COLOUR = "#0a6577"
LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)
DARK_INK, LIGHT_INK = "#0f1a1b", "#ffffff"
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
TONES = {
    "good": (
        "active",
        "trialing",
        "paid",
        "delivered",
        "succeeded",
        "enabled",
        "connected",
        "live",
        "allowed",
        "ok",
        "complete",
        "current",
        "passed",
        "done",
    ),
    "warn": ("past_due", "paused", "incomplete", "open", "retrying", "test", "pending", "late", "rotating", "stated"),
    "bad": ("failed", "uncollectible", "revoked", "disabled", "disputed", "unpaid", "refused", "red", "suspended"),
}
TONE_OF = {status: tone for tone, statuses in TONES.items() for status in statuses}
METER_WARN_PERCENT, METER_FULL_PERCENT = 80, 100


@register.simple_tag
def icon(name: str, size: int = 18) -> SafeString:
    """Return one drawing of the sprite, hidden from readers: the words beside it say the same."""
    return format_html(
        '<svg width="{}" height="{}" aria-hidden="true"><use href="{}#{}"/></svg>',
        size,
        size,
        static("icons/sprite.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def theirs(context: template.Context, words: str) -> str:
    """Return what a tenant calls a person or a company by in the clear, a mask on a visit that masks people."""
    visit: Visit | None = getattr(context.get("request"), "visit", None)
    return MASK if words and visit is not None and visit.masks else words


@register.filter
def money(cents: int | None, currency: str = "usd") -> str:
    """Return minor units as a person reads them, such as `$49.00` or `¥4,900`."""
    if cents is None:
        return "—"
    code = currency.upper()
    amount = in_units(cents, code)
    digits = f"{abs(amount):,.{digits_of(code)}f}"
    sign = "−" if amount < 0 else ""
    symbol = SYMBOLS.get(code)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {code}"


@register.filter
def count(number: float | None) -> str:
    """Return a number with its thousands parted; nothing is an infinity sign, as limits mean it."""
    if number is None:
        return "∞"
    return f"{number:,}" if isinstance(number, int) or not float(number).is_integer() else f"{int(number):,}"


@register.filter
def percent(share: float) -> str:
    """Return a share in percent, without a decimal place where it is whole."""
    return f"{count(share)} %"


@register.simple_tag
def stamp(moment: datetime | date | None, otherwise: str = "—", *, relative: bool = True) -> SafeString | str:
    """Return a time as text and as a machine reads it; a script may turn near ones into distances."""
    if not moment:
        return otherwise
    if not isinstance(moment, datetime):
        return format_html('<time datetime="{}">{}</time>', moment.isoformat(), f"{moment.day} {moment:%b %Y}")
    text = f"{moment.day} {moment:%b %Y, %H:%M} UTC"
    return format_html(
        '<time datetime="{}"{}>{}</time>',
        f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        SafeString(" data-relative") if relative else "",
        text,
    )


@register.simple_tag
def badge(status: object, label: str = "") -> SafeString:
    """Return a status with the tone that it has everywhere."""
    key = str(status or "").lower()
    words = label or key.replace("_", " ").capitalize()
    return format_html('<span class="badge{}">{}</span>', f" is-{TONE_OF[key]}" if key in TONE_OF else "", words)


@register.simple_tag
def copyable(text: str, *, shown: str = "") -> SafeString:
    """Return a piece of code with a button that copies it."""
    return format_html(
        '<span class="copyable"><code>{}</code>'
        '<button type="button" class="copy" data-copy="{}" aria-label="Copy {}">{}</button></span>',
        shown or text,
        text,
        shown or text,
        icon("copy", 15),
    )


@register.simple_tag
def meter(used: float, limit: float | None, label: str = "Usage") -> SafeString:
    """Return a bar that fills towards the limit, amber from 80 %, red when full; no limit, no filling."""
    percent = 0 if not limit else min(100.0, used * 100 / limit)
    tone = " is-bad" if percent >= METER_FULL_PERCENT else " is-warn" if percent >= METER_WARN_PERCENT else ""
    return format_html(
        '<svg class="meter{}" role="img" aria-label="{}: {} of {}"><rect class="track" width="100%" height="8" rx="4"/>'
        '<rect class="fill" width="{}%" height="8" rx="4"/></svg>',
        tone,
        label,
        count(used),
        count(limit),
        f"{percent:.2f}",
    )


@register.simple_tag
def sparkline(values: Sequence[float]) -> SafeString:
    """Return a small line of how a number went; decoration, for the number stands beside it."""
    if len(values) < 2:  # noqa: PLR2004  # one point makes no line
        return SafeString("")
    top = max(values) or 1
    step = 100 / (len(values) - 1)
    points = " ".join(f"{index * step:.2f},{28 - value * 26 / top:.2f}" for index, value in enumerate(values))
    return format_html(
        '<svg class="sparkline" viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">'
        '<polygon class="area" points="0,30 {} 100,30"/><polyline class="line" points="{}"/></svg>',
        points,
        points,
    )


@register.inclusion_tag("components/bar_chart.html")
def bar_chart(points: Sequence[tuple[str, float]], label: str, unit: str = "") -> dict[str, Any]:
    """Draw one bar per (label, value), with the same figures as a table below for who cannot see it."""
    top = max((value for _, value in points), default=0)
    ceiling = _round_up(top)
    width = 100 / max(len(points), 1)
    bars = [
        {
            "x": f"{index * width + width * 0.14:.3f}",
            "y": f"{100 - value * 100 / ceiling:.3f}",
            "width": f"{width * 0.72:.3f}",
            "height": f"{value * 100 / ceiling:.3f}",
            "label": name,
            "value": count(value),
        }
        for index, (name, value) in enumerate(points)
    ]
    marks = [points[index][0] for index in sorted({0, len(points) // 2, len(points) - 1})] if points else []
    return {"bars": bars, "label": label, "unit": unit, "ceiling": count(ceiling), "marks": marks, "is_empty": top == 0}


def _round_up(value: float) -> int:
    """Return the next number that reads well as the top of a scale."""
    scale = 1
    while scale * 10 < value:
        scale *= 10
    return next((scale * step for step in (1, 2, 3, 4, 5, 6, 8, 10) if scale * step >= value), scale * 10)


@register.filter
def brand_colour(value: str | None) -> SafeString:
    """Return an app's colour for a style sheet, or ours where it is none: nothing else may get into one."""
    return SafeString(value if value and HEX_COLOUR.match(value) else OWN_COLOUR)


@register.filter
def ink_on(value: str | None) -> SafeString:
    """Return black or white, whichever reads better on the colour (WCAG 2.2's relative luminance)."""
    colour = brand_colour(value)
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)  # noqa: PLR2004  # sRGB
    luminance = sum(weight * c for weight, c in zip(LUMINANCE_WEIGHTS, linear, strict=True))
    return SafeString(LIGHT_INK if 1.05 / (luminance + 0.05) >= (luminance + 0.05) / 0.058 else DARK_INK)


@register.filter
def initial(name: str | None) -> str:
    """Return the letter that stands for a name."""
    return (name or "?").strip()[:1].upper() or "?"


@register.filter
def is_checkbox(field: BoundField) -> bool:
    """Say whether a form's field is one box to tick, whose label stands behind it."""
    return field.widget_type == "checkbox"


@register.filter
def spaced(name: object) -> str:
    """Return a name of the code as words: `past_due` reads `past due`."""
    return str(name or "").replace("_", " ").replace(".", " ")


@register.filter
def noted(number: int | None, words: str) -> str:
    """Return a number with its words, or nothing where there is nothing to say."""
    return f"{count(number)} {words}" if number else ""


@register.filter
def entitlement(value: Any) -> str:
    """Return what an entitlement grants, in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "unlimited"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return count(value) if isinstance(value, int | float) else str(value)


@register.filter
def rhythm(price: Any) -> str:
    """Return how often a price is charged: `a month`, `every 3 months`, `once`."""
    if price.interval == "one_time":
        return "once"
    return f"a {price.interval}" if price.interval_count == 1 else f"every {price.interval_count} {price.interval}s"


@register.filter
def starts_anew(resets: str) -> str:
    """Return when a metric's count begins again, in words that go with a figure."""
    return {"billing_period": "anew each billing period", "never": "never starts anew"}.get(
        resets, f"anew each {resets}"
    )


@register.filter
def caused_by(cause: str) -> str:
    """Return who or what made a step of a history: `stripe:evt_…` reads `Stripe, evt_…`."""
    kind, _, name = cause.partition(":")
    return f"Stripe, {name}" if kind == "stripe" and name else cause


@register.filter
def left_to_do(steps: Sequence[dict[str, Any]]) -> int:
    """Return how many steps of a checklist are not done."""
    return sum(not step["done"] for step in steps)


@register.filter
def any_pending(rows: Sequence[tuple[Any, str]]) -> bool:
    """Say whether a delivery of these is about to be tried, so that looking again soon is worth it."""
    return any(delivery.status == "pending" and delivery.attempts == 0 for delivery, _ in rows)


@register.simple_tag
def share(used: float, most: float) -> SafeString:
    """Return a bar as long as a part of the longest one; the figure stands beside it."""
    percent = used * 100 / most if most else 0
    return format_html(
        '<svg class="meter" aria-hidden="true"><rect class="track" width="100%" height="8" rx="4"/>'
        '<rect class="fill" width="{}%" height="8" rx="4"/></svg>',
        f"{percent:.2f}",
    )


@register.simple_tag
def me_example(base_url: str, key: str) -> str:
    """Return the smallest call that a new key can make."""
    return f'curl {base_url}/v1/me \\\n  -H "Authorization: Bearer {key}"'


@register.simple_tag
def track_example(base_url: str, metric: str) -> str:
    """Return the call that counts one use of a metric."""
    return (
        f"curl {base_url}/v1/usage/track \\\n"
        '  -H "Authorization: Bearer $STACKBE_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f'  -d \'{{"customerId": "cust_…",\n       "metric": "{metric}"}}\''
    )


@register.simple_tag
def check_example(base_url: str) -> str:
    """Return the call that the front page shows."""
    return (
        f"curl -G {base_url}/v1/entitlements/check/sso \\\n"
        "  -d customerId=cust_… \\\n"
        '  -H "Authorization: Bearer $STACKBE_KEY"'
    )


@register.simple_tag
def check_answer() -> str:
    """Return what that call answers."""
    return '{\n  "hasAccess": true,\n  "value": true,\n  "source": "plan:pro"\n}'
