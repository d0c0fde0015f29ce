"""The state folder and the secrets in it."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from stackbe.runner import state


def test_secrets_are_readable_by_their_owner_alone(tmp_path):
    state.development_environment(tmp_path / "home")

    assert stat.S_IMODE((tmp_path / "home" / "env").stat().st_mode) == 0o600
    assert not stat.S_IMODE((tmp_path / "home").stat().st_mode) & 0o066


def test_an_environment_file_opened_to_others_is_closed_again(tmp_path):
    state.development_environment(tmp_path)
    (tmp_path / "env").chmod(0o644)

    state.development_environment(tmp_path)

    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


def test_secrets_stay_the_same_and_differ_between_copies(tmp_path):
    first = state.development_environment(tmp_path / "one")

    again = state.development_environment(tmp_path / "one")
    other = state.development_environment(tmp_path / "two")

    assert again == first
    assert {name for name in first if first[name] == other[name]} == {
        "BASE_URL", "STACKBE_ALLOW_LOCAL_WEBHOOKS", "STACKBE_ENV", "STRIPE_API_BASE", "STRIPE_CONNECT_BASE",
    }  # fmt: skip


def test_a_variable_that_an_older_file_lacks_is_added(tmp_path):
    (tmp_path / "env").write_text("SECRET_KEY=kept\n")

    found = state.development_environment(tmp_path)

    assert found["SECRET_KEY"] == "kept"
    assert found["STACKBE_MASTER_KEY"]
    assert state.read_environment(tmp_path / "env") == found


def test_another_port_moves_the_addresses_for_later_commands(tmp_path):
    state.development_environment(tmp_path, port=8100)

    found = state.development_environment(tmp_path)

    assert found["BASE_URL"] == "http://localhost:8100"
    assert found["STRIPE_API_BASE"] == "http://127.0.0.1:8101"


def test_copies_made_in_the_same_moment_agree_on_the_secrets(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: state.development_environment(tmp_path), range(8)))

    assert all(each == found[0] for each in found)


def test_a_folder_that_is_a_link_laid_in_our_way_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(state.RunnerError, match="not a folder of yours"):
        state.private_folder(tmp_path / "home")


def test_a_file_in_the_place_of_the_folder_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(state.RunnerError, match="cannot be written"):
        state.private_folder(tmp_path / "file" / "home")


def test_a_read_only_folder_gets_a_sentence(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)

    with pytest.raises(state.RunnerError, match=r"cannot be written \(Read-only file system\).*STACKBE_HOME"):
        state.private_folder(tmp_path / "home")


def test_what_the_environment_sets_wins_over_the_file():
    assert state.overlay({"SECRET_KEY": "file", "BASE_URL": "file"}, {"SECRET_KEY": "set"}) == {"BASE_URL": "file"}


def test_somebodys_own_stripe_key_never_meets_the_sandboxs_variables(tmp_path):
    kept = state.development_environment(tmp_path)

    added = state.overlay(kept, {"STRIPE_SECRET_KEY": "sk_test_of_a_person"})

    assert not [name for name in added if name.startswith("STRIPE_")]
    assert not state.uses_sandbox(added)
    assert state.uses_sandbox(state.overlay(kept, {}))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL under another account")
def test_root_in_a_closed_folder_keeps_its_state_under_var_tmp(tmp_path, monkeypatch):
    closed = tmp_path / "root" / "stackbe"
    closed.mkdir(parents=True)
    (tmp_path / "root").chmod(0o700)
    monkeypatch.delenv("STACKBE_HOME", raising=False)
    monkeypatch.setattr(state, "REPOSITORY", closed)

    home = state.home()

    assert home.parent.as_posix() == "/var/tmp"
    assert home == state.home()


def test_the_folder_can_be_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("STACKBE_HOME", str(tmp_path / "chosen"))

    assert state.home() == tmp_path / "chosen"
