"""The main job, played against the running servers by a bare client: HTTP and nothing else."""

from __future__ import annotations

import argparse
import os
import sys
import urllib.error

from stackbe.runner.demo.browser import Browser
from stackbe.runner.demo.client import Api, Inbox, Story, WrongAnswer
from stackbe.runner.demo.play import Play
from stackbe.runner.demo.receiver import Receiver


def main(argv: list[str]) -> int:
    """Play the job and return 0, or stop at the first wrong answer and return 1."""
    parser = argparse.ArgumentParser(prog="manage.py demo", description=__doc__)
    parser.add_argument("--url", default=os.environ.get("BASE_URL", "http://localhost:8000"))
    parser.add_argument("--quiet", action="store_true", help="Print the last line only.")
    parser.add_argument("--year", action="store_true", help="A customer's year by the moved clock, to the cent.")
    asked = parser.parse_args(argv)
    story = Story(quiet=asked.quiet)
    base_url = asked.url.rstrip("/")
    receiver = Receiver()
    try:
        play = Play(
            story=story,
            api=Api(base_url, story),
            browser=Browser(),
            inbox=Inbox(f"{base_url}/dev/inbox"),
            receiver=receiver,
        )
        play.run_year() if asked.year else play.run()
    except (WrongAnswer, LookupError, KeyError) as wrong:
        sys.stdout.write(f"\nStopped at step {story.number}: {wrong}\n")
        return 1
    except urllib.error.URLError as silent:
        sys.stdout.write(f"\n{base_url} does not answer ({silent.reason}). Start it with: python3 manage.py up\n")
        return 1
    finally:
        receiver.close()
    sys.stdout.write(f"\nDone: {story.number} steps, every answer as documented.\n")
    return 0
