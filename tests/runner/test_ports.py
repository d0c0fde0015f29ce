"""Ports that somebody else has."""

from __future__ import annotations

import socket

import pytest

from stackbe.runner import ports
from stackbe.runner.state import RunnerError


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_named_with_one_that_is_free(taken):
    with pytest.raises(RunnerError) as refused:
        ports.require_free(taken)

    assert f"Port {taken}, wanted for this copy's web server, is taken" in str(refused.value)
    advised = int(str(refused.value).rsplit(" ", 1)[1])
    ports.require_free(advised)


def test_the_port_of_the_sandbox_counts_too(taken):
    with pytest.raises(RunnerError, match=f"Port {taken}, wanted for the Stripe sandbox"):
        ports.require_free(taken - 1)


@pytest.mark.parametrize("port", [-1, 0, 65535, 99999])
def test_a_port_that_cannot_be_is_refused(port):
    with pytest.raises(RunnerError, match="There is no port"):
        ports.require_free(port)
