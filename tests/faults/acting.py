"""The main job as tests play it: patient, watched, with parts killed under it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stackbe.runner.demo.browser import Browser
from stackbe.runner.demo.client import Api, Inbox, Story
from stackbe.runner.demo.play import Play
from stackbe.runner.demo.receiver import Receiver

if TYPE_CHECKING:
    from tests.stack import Stack

ONCE = ("customer.created", "subscription.created", "payment.succeeded")


class Listener(Story):
    """A silent story that keeps what was said, answers in full."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)


class Saboteur(Listener):
    """Kills processes as the first request of each chosen step was answered and its work has only begun."""

    def __init__(self, stack: Stack, names: tuple[str, ...], steps: set[int]) -> None:
        super().__init__()
        self.stack, self.names, self.steps = stack, names, steps
        self.kills = 0

    def say(self, line: str) -> None:
        """Strike once in each step, and start what was struck again."""
        super().say(line)
        if self.number in self.steps and line.lstrip().startswith("←"):
            self.steps.remove(self.number)
            for name in self.names:
                self.stack.kill(name)
                self.stack.start(name)
                self.kills += 1


@dataclass
class Run:
    """A demo that was played to its end, and what came of it."""

    play: Play
    receiver: Receiver
    inbox: Inbox

    def assert_nothing_twice(self) -> None:
        """Assert that each fact about the customer was told once, and that each person got the one mail asked for."""
        theirs = [event for event in self.receiver.events if self.play.known["customer"] in json.dumps(event)]
        told = Counter(event["type"] for event in theirs)
        assert {kind: told[kind] for kind in ONCE} == dict.fromkeys(ONCE, 1), theirs
        assert self.receiver.forged == 0
        mails = {person: self.inbox.count(self.play.known[person]) for person in ("email", "person")}
        assert mails == {"email": 1, "person": 1}

    def mail(self, person: str) -> dict[str, Any]:
        """Return the mail that a person of the play got."""
        return self.inbox.wait_for(self.play.known[person])


def perform(stack: Stack, story: Story) -> Run:
    """Play the main job; a wrong answer raises."""
    receiver = Receiver()
    inbox = Inbox(stack.inbox_url)
    played = Play(story=story, api=Api(stack.base_url, story), browser=Browser(), inbox=inbox, receiver=receiver)
    try:
        played.run()
    finally:
        receiver.close()
    return Run(played, receiver, inbox)
