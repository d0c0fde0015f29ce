#!/usr/bin/env python3
"""One door to everything: `up`, `test`, `demo`, `new_tenant`, `roles` and every Django command.

This file parses on Python 3.8, so that an older Python gets a sentence instead of a SyntaxError. The rest is in
stackbe/runner.
"""

import sys

OLDEST = (3, 11)


def main() -> int:
    """Refuse an old Python in words, then hand over to the runner."""
    if sys.version_info < OLDEST:
        sys.stderr.write(
            "StackBE needs Python {}.{} or newer; this is {}.{}. Install a newer one "
            "(Debian 12, Ubuntu 24.04: `sudo apt-get install python3 python3-venv`; macOS: `brew install python@3.13`) "
            "and run it with its full name, such as `python3.13 manage.py up`.\n".format(
                *(OLDEST + sys.version_info[:2])
            )
        )
        return 2
    from stackbe.runner.entry import run  # noqa: PLC0415 - an older Python cannot read what this imports

    return run(sys.argv)


if __name__ == "__main__":
    sys.exit(main())
