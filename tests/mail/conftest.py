"""A mail server on loopback that keeps what it is given, or answers as it is told."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator
from email import message_from_bytes
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from stackbe.mail.providers import mail_settings
from tests.stack import free_port


class Catcher:
    """An SMTP server that keeps what it is given, or answers as it is told."""

    def __init__(self) -> None:
        self.caught: list[Any] = []
        self.answer = "250 OK"
        self.at_recipient = "250 OK"
        self.asked: list[str] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802  # aiosmtpd's name
        self.asked.append(address)
        if self.at_recipient.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.at_recipient

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if self.answer.startswith("250"):
            self.caught.append((envelope, message_from_bytes(envelope.content, policy=email.policy.default)))
        return self.answer


@pytest.fixture
def smtp(settings: Any) -> Iterator[Catcher]:
    """The server, with EMAIL_URL pointing at it."""
    catcher = Catcher()
    port = free_port()
    controller = Controller(catcher, hostname="127.0.0.1", port=port)
    controller.start()
    for name, value in mail_settings(f"smtp://127.0.0.1:{port}").items():
        setattr(settings, name, value)
    yield catcher
    controller.stop()
