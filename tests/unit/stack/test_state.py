import errno
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from stack.commands import clean
from stack.commands.columns import table
from stack.commands.status import span
from stack.run import room, state, write
from stack.run.start import Starter, last_lines
from stack.run.state import NotAStack
from stack.run.write import UnreachableState
from stack.topology import passwords


def test_passwords_are_generated_once_with_owner_only_permissions(tmp_path):
    first = passwords.keep(tmp_path / "secrets")
    assert passwords.keep(tmp_path / "secrets") == first
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets" / "passwords.json").stat().st_mode & 0o077 == 0


def test_a_folder_with_installed_tools_only_is_accepted(settings):
    shared = replace(settings, tools=settings.state)
    for folder in (
        shared.venv,
        shared.kafka_libs,
        shared.zipkin_libs,
        shared.tool("helm-v3"),
        shared.tool("cosmic-ray"),
    ):
        folder.mkdir(parents=True)
    state.claim(shared)
    assert state.foreign_to(shared) == []


def test_a_tool_of_an_unknown_name_is_refused(settings):
    with pytest.raises(ValueError, match="thesis is not in"):
        settings.tool("thesis")


def test_two_stacks_have_different_passwords(tmp_path):
    assert passwords.keep(tmp_path / "one").redis != passwords.keep(tmp_path / "two").redis


def test_a_new_password_is_added_and_the_others_are_kept(tmp_path):
    first = passwords.keep(tmp_path)
    path = tmp_path / "passwords.json"
    path.write_text(json.dumps({"redis": first.redis}))
    again = passwords.keep(tmp_path)
    assert again.redis == first.redis
    assert again.orders_database


def test_passwords_do_not_show_in_a_traceback(tmp_path):
    kept = passwords.keep(tmp_path)
    assert kept.redis not in repr(kept)


def test_clean_removes_the_state_but_not_the_tools_in_it(settings, tmp_path):
    shared = replace(settings, tools=settings.state)
    state.claim(shared)
    (shared.venv / "bin").mkdir(parents=True)
    shared.kafka_libs.mkdir()
    (shared.data / "orders").write_text("rows")
    clean.clean(shared)
    assert sorted(entry.name for entry in shared.state.iterdir()) == [shared.venv.name, "kafka-libs"]


def test_clean_leaves_the_folder_at_which_a_disk_is_mounted(settings, monkeypatch, capsys):
    state.claim(settings)

    def busy(folder):
        raise OSError(errno.EBUSY, "Device or resource busy", str(folder))

    monkeypatch.setattr(type(settings.state), "rmdir", busy)
    clean.clean(settings)
    assert list(settings.state.iterdir()) == []
    assert "Removed from" in capsys.readouterr().out


@pytest.fixture
def home(settings):
    """Return a folder with a person's own files, two of them with names that a stack uses, too."""
    for place in ("thesis.tex", "data/photos/one.jpg", "log/diary.txt"):
        (settings.state / place).parent.mkdir(parents=True, exist_ok=True)
        (settings.state / place).write_text("mine")
    return settings


def tree(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_clean_refuses_a_foreign_folder(home):
    before = tree(home.state)
    with pytest.raises(NotAStack, match="is not a stack's folder"):
        clean.clean(home)
    assert tree(home.state) == before


def test_a_foreign_folder_is_never_marked_as_a_stack(home):
    before = tree(home.state)
    with pytest.raises(NotAStack, match=r"neither empty nor a stack's folder \(it holds data, log, thesis.tex\)"):
        state.claim(home)
    assert tree(home.state) == before


def test_a_home_marked_by_an_older_version_is_foreign(home):
    (home.state / state.MARK).touch()
    before = tree(home.state)
    with pytest.raises(NotAStack):
        clean.clean(home)
    with pytest.raises(NotAStack):
        state.claim(home)
    assert tree(home.state) == before


def test_a_stack_of_an_older_version_is_accepted(settings):
    state.claim(settings)
    (settings.state / state.MARK).write_text("")
    assert state.exists(settings)


def test_clean_keeps_and_lists_foreign_files(settings, capsys):
    state.claim(settings)
    (settings.state / "notes.txt").write_text("mine")
    clean.clean(settings)
    assert [entry.name for entry in settings.state.iterdir()] == ["notes.txt"]
    output = capsys.readouterr().out
    assert "Removed from" in output
    assert "data" in output
    assert "Kept, because it was not created by a stack: notes.txt" in output


def test_clean_removes_a_link_and_not_what_it_points_to(settings, tmp_path):
    state.claim(settings)
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "rows").touch()
    settings.data.rmdir()
    settings.data.symlink_to(disk)
    clean.clean(settings)
    assert (disk / "rows").exists()
    assert not settings.state.exists()


def test_an_empty_folder_is_accepted(settings):
    settings.state.mkdir(parents=True)
    state.claim(settings)
    assert state.exists(settings)


def test_a_state_folder_that_cannot_be_created_is_named(settings):
    settings.state.write_text("a file")
    with pytest.raises(NotAStack, match="is not a folder"):
        state.claim(settings)


def test_clean_of_nothing_does_nothing(settings):
    clean.clean(settings)


def test_a_state_folder_without_access_for_postgres_is_named(tmp_path):
    closed = tmp_path / "closed"
    (closed / "state").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(UnreachableState, match=rf"postgres has no access to {closed}"):
        write.check_reachable(closed / "state", "postgres")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59.9, "59s"), (65, "1m05s"), (3 * 3600 + 61, "3h01m"), (100_000, "1d03h")]
)
def test_durations_are_readable(seconds, text):
    assert span(seconds) == text


def test_columns_are_as_wide_as_their_widest_cell():
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


@pytest.mark.parametrize("free", [0, 199])
def test_a_start_that_fails_on_a_full_disk_says_so(settings, monkeypatch, free):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage(free))
    failure = Starter(settings=settings, supervisor=None, progress=None)._failure("etcd-0", "keeps exiting")
    assert str(failure).splitlines()[-1] == (
        f"The disk of STATE={settings.state} has {free} MiB free: make room there, but not in {settings.data}, "
        f"then `{settings.command('up')}`"
    )


def test_a_start_that_fails_with_room_on_the_disk_says_nothing_of_it(settings, monkeypatch):
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage(200))
    failure = Starter(settings=settings, supervisor=None, progress=None)._failure("etcd-0", "keeps exiting")
    assert str(failure).splitlines()[-1].startswith("The full log is ")


def usage(free_mib):
    return SimpleNamespace(free=free_mib * 1024 * 1024)


def test_the_end_of_a_long_log_is_bounded(tmp_path):
    log = tmp_path / "long.log"
    log.write_text("x" * 1_000_000 + "\nlast\n")
    lines = last_lines(log)
    assert lines[-1] == "  | last"
    assert sum(map(len, lines)) < 70_000
