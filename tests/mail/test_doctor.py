"""`manage.py doctor --mail` says in sentences whether mail will arrive. DNS is a table here."""

from __future__ import annotations

from io import StringIO
from typing import Any

import dns.resolver
import pytest
from django.core.management import CommandError, call_command

from stackbe.mail.doctor import Mark, Unreachable, ask_dns, examine

GOOD = {
    "mail.example.org": ["google-site-verification=x", "v=spf1 include:spf.provider.example -all"],
    "spf.provider.example": ["v=spf1 ip4:192.0.2.0/24 -all"],
    "s1._domainkey.mail.example.org": ["v=DKIM1; k=rsa; p=MIIB"],
    "_dmarc.mail.example.org": ["v=DMARC1; p=reject; rua=mailto:dmarc@example.org"],
}


def resolver(records: dict[str, list[str]]) -> Any:
    return lambda name, kind: records.get(name, []) if kind == "TXT" else []


def marks(records: dict[str, list[str]], selector: str = "") -> dict[str, Mark]:
    return {f.about: f.mark for f in examine("mail.example.org", selector, lookup=resolver(records))}


def sentence(records: dict[str, list[str]], about: str, selector: str = "") -> str:
    found = examine("mail.example.org", selector, lookup=resolver(records))
    return next(f.sentence for f in found if f.about == about)


def test_a_domain_that_is_set_up_is_well():
    assert marks(GOOD) == {"SPF": Mark.GOOD, "DKIM": Mark.GOOD, "DMARC": Mark.GOOD}


def test_a_domain_without_records_is_told_what_to_add():
    assert marks({}) == {"SPF": Mark.BAD, "DKIM": Mark.UNKNOWN, "DMARC": Mark.BAD}
    assert "v=spf1 include:" in sentence({}, "SPF")
    assert "--selector" in sentence({}, "DKIM")
    assert "_dmarc.mail.example.org" in sentence({}, "DMARC")


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (["v=spf1 +all"], "anybody"),
        (["v=spf1 all"], "anybody"),
        (["v=spf1 ip4:192.0.2.1"], "End it with -all"),
        (["v=spf1 ip4:192.0.2.1 ?all"], "End it with -all"),
        (["v=spf1 -all", "v=spf1 ~all"], "Merge them"),
        (["v=spf10 -all"], "no SPF record"),
    ],
)
def test_an_spf_record_that_does_not_hold_is_a_problem(records, words):
    changed = GOOD | {"mail.example.org": records}

    assert marks(changed)["SPF"] == Mark.BAD
    assert words in sentence(changed, "SPF")


def test_an_spf_record_that_leads_elsewhere_is_followed():
    chain = {"mail.example.org": ["v=spf1 redirect=a.example"], "a.example": ["v=spf1 mx a ip4:192.0.2.1 -all"]}

    assert marks(GOOD | chain)["SPF"] == Mark.GOOD


def test_more_than_ten_look_ups_are_counted_through_includes():
    includes = " ".join(f"include:n{n}.example" for n in range(6))
    deep = {f"n{n}.example": ["v=spf1 a mx -all"] for n in range(6)}

    changed = GOOD | deep | {"mail.example.org": [f"v=spf1 {includes} -all"]}

    assert "takes 18 look-ups" in sentence(changed, "SPF")


def test_a_record_that_includes_itself_ends():
    changed = GOOD | {"mail.example.org": ["v=spf1 include:mail.example.org -all"]}

    assert marks(changed)["SPF"] == Mark.BAD


def test_a_selector_that_is_named_must_be_there():
    assert marks(GOOD, "s9")["DKIM"] == Mark.BAD
    assert marks(GOOD, "s1")["DKIM"] == Mark.GOOD


def test_a_revoked_key_is_a_problem():
    changed = GOOD | {"s1._domainkey.mail.example.org": ["v=DKIM1; p="]}

    assert "revoked" in sentence(changed, "DKIM")


@pytest.mark.parametrize(
    ("record", "mark", "words"),
    [
        ("v=DMARC1; p=none", Mark.GOOD, "only watches"),
        ("v=DMARC1;p=quarantine", Mark.GOOD, "p=quarantine"),
        ("v=DMARC1; rua=mailto:x@example.org", Mark.BAD, "has no policy"),
        ("v=DMARC1; p=maybe", Mark.BAD, "has no policy"),
    ],
)
def test_what_a_dmarc_policy_means(record, mark, words):
    changed = GOOD | {"_dmarc.mail.example.org": [record]}

    assert marks(changed)["DMARC"] == mark
    assert words in sentence(changed, "DMARC")


def test_a_subdomain_is_judged_by_the_record_of_its_domain():
    parent = {name: text for name, text in GOOD.items() if not name.startswith("_dmarc")}

    assert "_dmarc.example.org" in sentence(parent | {"_dmarc.example.org": ["v=DMARC1; p=reject"]}, "DMARC")


def test_a_dns_that_does_not_answer_says_nothing_of_the_domain():
    def silent(name: str, kind: str) -> list[str]:
        raise Unreachable("LifetimeTimeout")

    found = examine("mail.example.org", lookup=silent)

    assert [f.mark for f in found] == [Mark.UNKNOWN] * 3
    assert all("DNS did not answer" in f.sentence for f in found)


@pytest.mark.parametrize("failure", [dns.resolver.NXDOMAIN, dns.resolver.NoAnswer])
def test_a_name_without_records_has_none(monkeypatch, failure):
    def answer(*_: Any, **__: Any) -> Any:
        raise failure

    monkeypatch.setattr(dns.resolver, "resolve", answer)

    assert ask_dns("mail.example.org", "TXT") == []


def test_a_failing_resolver_is_told_apart(monkeypatch):
    def answer(*_: Any, **__: Any) -> Any:
        raise dns.resolver.NoNameservers

    monkeypatch.setattr(dns.resolver, "resolve", answer)

    with pytest.raises(Unreachable):
        ask_dns("mail.example.org", "TXT")


# The command.


@pytest.fixture
def dns_says(monkeypatch, settings):
    """Make DNS a table for the command, and the sender's domain one on the Internet."""
    settings.DEFAULT_FROM_EMAIL = "StackBE <no-reply@mail.example.org>"
    settings.DEVELOPMENT_INBOX = False
    return lambda records: monkeypatch.setattr(
        "stackbe.mail.doctor.examine.__kwdefaults__", {"lookup": resolver(records)}
    )


def told(*words: str) -> str:
    out = StringIO()
    call_command("doctor", *words, stdout=out)
    return out.getvalue()


def test_the_doctor_sends_a_mail_and_says_what_is_well(smtp, dns_says):
    dns_says(GOOD)

    said = told("--mail", "ada@example.com")

    assert "[ok] Sending: The mail server took a mail to ada@example.com" in said
    assert [line.split()[1] for line in said.splitlines()[1:]] == ["Sending:", "SPF:", "DKIM:", "DMARC:"]
    ((envelope, message),) = smtp.caught
    assert envelope.rcpt_tos == ["ada@example.com"]
    assert message["Subject"] == "Mail works"


def test_a_problem_makes_the_doctor_fail(smtp, dns_says):
    dns_says({})

    with pytest.raises(CommandError, match="may not arrive"):
        told("--mail", "ada@example.com")


def test_a_server_that_refuses_is_named_by_its_code(smtp, dns_says, capsys):
    dns_says(GOOD)
    smtp.at_recipient = "550 5.7.1 relaying denied"
    out = StringIO()

    with pytest.raises(CommandError):
        call_command("doctor", "--mail", "ada@example.com", stdout=out)

    assert "[problem] Sending: The mail server did not take the mail: 550 5.7.1." in out.getvalue()


def test_a_sender_on_no_domain_is_told_to_choose_one(smtp, settings):
    settings.DEFAULT_FROM_EMAIL = "StackBE <no-reply@localhost>"
    out = StringIO()

    with pytest.raises(CommandError):
        call_command("doctor", "--mail", "ada@example.com", stdout=out)

    assert "Set DEFAULT_FROM_EMAIL" in out.getvalue()


def test_what_is_no_address_is_refused(smtp):
    with pytest.raises(CommandError, match="no e-mail address"):
        told("--mail", "nobody")
    assert smtp.caught == []
