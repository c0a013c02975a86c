import json

import pytest

from stack import clean, passwords, write
from stack.clean import NotClean
from stack.status import span
from stack.table import table
from stack.write import UnreachableState


def test_passwords_are_drawn_once_and_only_their_owner_reads_them(tmp_path):
    first = passwords.keep(tmp_path / "secrets")
    assert passwords.keep(tmp_path / "secrets") == first
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    assert (tmp_path / "secrets" / "passwords.json").stat().st_mode & 0o077 == 0


def test_two_stacks_have_different_passwords(tmp_path):
    assert passwords.keep(tmp_path / "one").redis != passwords.keep(tmp_path / "two").redis


def test_a_password_that_came_later_is_added_and_the_others_stay(tmp_path):
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
    from dataclasses import replace

    shared = replace(settings, tools=settings.state)
    write.folders(shared)
    (shared.venv / "bin").mkdir(parents=True)
    shared.kafka_libs.mkdir()
    (shared.data / "orders").write_text("rows")
    clean.clean(shared)
    assert sorted(entry.name for entry in shared.state.iterdir()) == ["kafka-libs", "venv"]


def test_clean_touches_no_folder_that_is_not_a_stacks(settings):
    settings.state.mkdir()
    (settings.state / "thesis.tex").touch()
    with pytest.raises(NotClean, match="is not a stack's folder"):
        clean.clean(settings)
    assert (settings.state / "thesis.tex").exists()


def test_clean_of_nothing_does_nothing(settings):
    clean.clean(settings)


def test_a_state_that_the_user_postgres_cannot_enter_is_named(tmp_path):
    closed = tmp_path / "closed"
    (closed / "state").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(UnreachableState, match=rf"postgres cannot enter {closed}"):
        write.check_reachable(closed / "state", "postgres")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0s"), (59.9, "59s"), (65, "1m05s"), (3 * 3600 + 61, "3h01m"), (100_000, "1d03h")]
)
def test_spans_are_said_as_people_do(seconds, said):
    assert span(seconds) == said


def test_columns_are_as_wide_as_their_widest_cell():
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
