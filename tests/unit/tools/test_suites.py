"""The stack that tests run on."""

import pytest

from stack.settings import CHECKOUT, HA, SMALL, Settings
from tools import suites


@pytest.mark.parametrize("own", [SMALL, HA])
@pytest.mark.parametrize(
    ("tests", "profile"),
    [("", SMALL), ("tests/resilience", SMALL), ("tests/ha", HA), ("tests/ha/test_lost_parts.py", HA)],
)
def test_the_profile_is_what_the_tests_are_about_whichever_the_developers_stack_has(tmp_path, own, tests, profile):
    chosen = Settings(checkout=CHECKOUT, state=tmp_path, tools=tmp_path, profile=own)
    of_tests = suites.of_tests(chosen, tests)
    assert of_tests.profile is profile
    assert of_tests.environment()["PROFILE"] == profile.name
