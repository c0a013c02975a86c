from pathlib import Path

import pytest

from stack import settings
from stack.settings import SettingsError

CHECKOUT = Path("/home/someone/shop")


def read(**environ):
    return settings.read({"HOME": "/home/someone", **environ}, checkout=CHECKOUT)


def test_the_defaults_are_port_8080_and_network_16():
    chosen = read()
    assert (chosen.port, chosen.network) == (8080, 16)
    assert chosen.tools == chosen.state


def test_another_port_alone_makes_a_second_stack():
    first, second = read(), read(PORT="8081")
    assert second.network != first.network
    assert second.state != first.state
    assert second.tools == first.tools
    assert first.state not in second.state.parents


def test_every_port_gives_a_network_that_exists():
    assert all(1 <= read(PORT=str(port)).network <= 254 for port in range(1, 65536, 7))


def test_every_port_gives_an_https_port_that_exists_and_is_another():
    assert read(PORT="8080").tls_port == 8443
    ports = range(1, 65536, 7)
    assert all(1 <= read(PORT=str(port)).tls_port <= 65535 and read(PORT=str(port)).tls_port != port for port in ports)


def test_a_home_that_kafka_cannot_be_given_is_refused_with_what_to_set(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match=r"TOOLS='/home/jörg.*; set TOOLS to one"):
        read(HOME="/home/jörg")
    with pytest.raises(SettingsError, match="; set STATE to one"):
        read(HOME="/home/jörg", TOOLS="/srv/tools")


def test_root_has_its_state_where_the_user_postgres_can_reach_it(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert settings.default_state({"HOME": "/root"}) == Path("/var/tmp/order-system")


def test_others_have_their_state_at_home(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert settings.default_state({"HOME": "/home/me"}) == Path("/home/me/.local/state/order-system")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "\uff18\uff10"),
        ("NETWORK", "255"),
        ("NETWORK", "0"),
        ("NETWORK", "1.5"),
        ("STATE", "relative/path"),
        ("STATE", "/with a space"),
        ("STATE", "/with'quote"),
        ("STATE", "/with%percent"),
        ("STATE", "/"),
        ("STATE", "/" + "x" * 100),
        ("TOOLS", "also/relative"),
    ],
)
def test_a_malformed_variable_is_refused_by_its_name(name, value):
    with pytest.raises(SettingsError, match=name):
        read(**{name: value})


def test_an_empty_variable_counts_as_unset():
    assert read(PORT="", STATE="", NETWORK="", TOOLS="") == read()


@pytest.mark.parametrize("state", [str(CHECKOUT), f"{CHECKOUT}/state", f"{CHECKOUT}/a/../b"])
def test_state_inside_the_repository_is_refused(state):
    with pytest.raises(SettingsError, match="STATE"):
        read(STATE=state)


def test_the_environment_of_a_child_makes_the_same_settings_again():
    chosen = read(PORT="9000", NETWORK="33", STATE="/srv/state", TOOLS="/srv/tools")
    assert read(**chosen.environment()) == chosen


def test_each_checkout_has_a_python_of_its_own(tmp_path):
    first = settings.Settings(checkout=tmp_path / "first", state=tmp_path / "s", tools=tmp_path / "t")
    second = settings.Settings(checkout=tmp_path / "second", state=tmp_path / "s", tools=tmp_path / "t")
    assert second.venv != first.venv
    assert second.venv.parent == first.venv.parent == tmp_path / "t"


def test_a_new_stack_is_small_unless_told_otherwise(tmp_path):
    state = str(tmp_path / "state")
    assert read(STATE=state).profile is settings.SMALL
    assert read(STATE=state, PROFILE="ha").profile is settings.HA
    with pytest.raises(SettingsError, match=r"^PROFILE='huge' is not one of small, ha$"):
        read(STATE=state, PROFILE="huge")


@pytest.mark.parametrize("name", ["small", "ha"])
def test_a_stack_keeps_the_profile_that_it_was_created_with(tmp_path, name):
    (tmp_path / "conf").mkdir()
    read(STATE=str(tmp_path)).profiled.write_text(f"{name}\n")
    kept = read(STATE=str(tmp_path))
    assert kept.profile.name == name
    assert read(**kept.environment()).profile == kept.profile
    other = "ha" if name == "small" else "small"
    with pytest.raises(SettingsError, match=rf"was created with PROFILE={name} and keeps it: for PROFILE={other} name"):
        read(STATE=str(tmp_path), PROFILE=other)


def test_a_stack_of_an_earlier_version_is_small(tmp_path):
    (tmp_path / "data" / "kafka-0").mkdir(parents=True)
    assert read(STATE=str(tmp_path)).profile is settings.SMALL
    with pytest.raises(SettingsError, match="was created with PROFILE=small"):
        read(STATE=str(tmp_path), PROFILE="ha")


def test_the_stack_of_a_drill_is_small(tmp_path):
    assert read(STATE=str(tmp_path / "state"), PROFILE="ha").of_drill().profile is settings.SMALL
