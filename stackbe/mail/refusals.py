"""What a mail server's refusal means: try again, give up, or never write to this address again.

Judged by the codes of RFC 5321 and RFC 3463. The server's words are not kept: they repeat the address.
"""

from __future__ import annotations

import re
import smtplib
from dataclasses import dataclass

from anymail.exceptions import AnymailAPIError, AnymailInvalidAddress, AnymailRecipientsRefused

FOR_GOOD = 500
ENHANCED = re.compile(rb"^\s*([245]\.\d{1,3}\.\d{1,3})\b")
# RFC 3463: 5.1.x the address is bad, 5.2.1 the mailbox takes no mail. The rest (full, policy, our own
# standing) says nothing of the address.
ADDRESS_AT_FAULT = re.compile(r"5\.1\.(0|1|2|3|6|10)|5\.2\.1")
# Without an enhanced code: no such mailbox, not local, name not allowed (RFC 5321, section 4.2.3).
PLAIN_ADDRESS_CODES = frozenset({550, 551, 553})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether trying again is of use, whether the address is at fault, and the codes in short."""

    for_good: bool
    address_at_fault: bool
    said: str


def judge(failure: Exception) -> Verdict:
    """Return what a failure to send means. What nobody foresaw is worth another try."""
    if isinstance(failure, smtplib.SMTPRecipientsRefused) and failure.recipients:
        code, words = next(iter(failure.recipients.values()))
        return _by_code(code, words, at_recipient=True)
    if isinstance(failure, smtplib.SMTPAuthenticationError):
        return Verdict(for_good=False, address_at_fault=False, said=f"{failure.smtp_code} signing in")
    if isinstance(failure, smtplib.SMTPResponseException):
        at_data = isinstance(failure, smtplib.SMTPDataError)
        return _by_code(failure.smtp_code, failure.smtp_error, at_recipient=False, at_data=at_data)
    if isinstance(failure, AnymailRecipientsRefused | AnymailInvalidAddress):
        return Verdict(for_good=True, address_at_fault=True, said="refused by the provider")
    if isinstance(failure, AnymailAPIError):
        return Verdict(for_good=False, address_at_fault=False, said=f"provider {failure.status_code or 'error'}")
    return Verdict(for_good=False, address_at_fault=False, said=type(failure).__name__[:40])


def _by_code(code: int, words: bytes | str, *, at_recipient: bool, at_data: bool = False) -> Verdict:
    raw = words.encode() if isinstance(words, str) else words
    match = ENHANCED.match(raw)
    enhanced = match[1].decode() if match else ""
    for_good = code >= FOR_GOOD and (at_recipient or at_data)
    by_enhanced = bool(ADDRESS_AT_FAULT.fullmatch(enhanced))
    by_plain = at_recipient and not enhanced and code in PLAIN_ADDRESS_CODES
    return Verdict(for_good, for_good and (by_enhanced or by_plain), f"{code} {enhanced}".strip())
