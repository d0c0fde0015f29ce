"""Which URLs may be stored, and in which spelling."""

from __future__ import annotations

import pytest

from webhooks.addresses import TargetRefused, judge_url


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://Example.COM:443/Hook?x=1", "https://example.com/Hook?x=1"),
        ("https://example.com:8443/hook", "https://example.com:8443/hook"),
        ("http://example.com/", "http://example.com/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700:4700:0::1111]/", "https://[2606:4700:4700::1111]/"),
        ("https://a_b.example.com/", "https://a_b.example.com/"),
        ("https://123.example.com/", "https://123.example.com/"),
    ],
)
def test_good_urls_are_kept_in_one_spelling(written: str, stored: str) -> None:
    target = judge_url(written, live=False)

    assert target.url == stored
    assert judge_url(stored, live=False) == target


def test_a_live_app_needs_https() -> None:
    with pytest.raises(TargetRefused, match="https"):
        judge_url("http://example.com/", live=True)
    with pytest.raises(TargetRefused, match="https"):
        judge_url("http://localhost/", live=True, allow_local=True)
    assert judge_url("https://example.com/", live=True).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "//example.com/", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "javascript:alert(1)", "https://", "https:///path",
        "https:example.com", "https://user@example.com/", "https://user:pw@example.com/",
        "https://example.com@127.0.0.1/", "https://example.com#@127.0.0.1/", "https://example.com/#x",
        "https://exam ple.com/", "https://example.com/a b", "https://example.com\\@127.0.0.1/",
        "https://example.com/\r\nX-A: b", "https://exa\tmple.com/", "https://example.com/\0",
        "https://example.com:/", "https://example.com:0/", "https://example.com:22/",
        "https://example.com:25/", "https://example.com:6379/", "https://example.com:6667/",
        "https://example.com:65536/", "https://example.com:-1/", "https://example.com:４43/",
        "https://example.com./", "https://.example.com/", "https://exa..mple.com/",
        "https://-example.com/", "https://example.com%2f@x/", "https://exa%6dple.com/",
        "https://example.com/ä", f"https://example.com/{'a' * 2048}", f"https://{'a' * 64}.com/",
        f"https://{'a.' * 130}com/", "https://[::1/", "https://[example.com]/",
        "https://[1.2.3.4]/", "https://[v1.x]/", "https://example。com/",
    ],
)  # fmt: skip
def test_bad_urls_are_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        judge_url(url, live=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3000/hooks", "http://127.0.0.1:3000/", "http://[::1]:3000/",
        "http://app.localhost/", "http://192.168.1.20:8080/", "http://web:8000/", "http://10.0.0.7/",
        "http://[fd12:3456::1]/",
    ],
)  # fmt: skip
def test_the_development_setting_opens_this_machine_and_its_networks(url: str) -> None:
    assert judge_url(url, live=False, allow_local=True)
    with pytest.raises(TargetRefused):
        judge_url(url, live=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/", "http://0.0.0.0/",
        "http://100.100.100.200/", "http://168.63.129.16/", "http://[fe80::1]/", "http://224.0.0.1/",
        "http://2130706433/", "http://127.1/", "http://[::ffff:127.0.0.1]/",
    ],
)  # fmt: skip
def test_it_does_not_open_metadata_services_or_odd_spellings(url: str) -> None:
    with pytest.raises(TargetRefused):
        judge_url(url, live=False, allow_local=True)
