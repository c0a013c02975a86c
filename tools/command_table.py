"""
The developers' commands: `python -m tools COMMAND`, as the Makefile calls them.

Standard library only: the bootstrap reads it before anything is installed.
"""

from stack.command_table import Argument, Command, Needs

TESTS = Argument("tests", "TESTS", "a folder, a file or FILE::TEST; all when it is not given")

COMMANDS = (
    Command(
        name="lint",
        help="every check of the code that needs no running system",
        function="tools.lint:run",
        needs=Needs.ENVIRONMENT,
    ),
    Command(
        name="unit",
        help="the tests that need no running system",
        function="tools.suites:unit_command",
        needs=Needs.ENVIRONMENT,
        arguments=(TESTS,),
    ),
    Command(
        name="integration",
        help="the tests of a whole stack, on one of their own",
        function="tools.suites:integration_command",
        needs=Needs.BROWSER,
        arguments=(TESTS,),
    ),
    Command(
        name="test",
        help="lint, unit tests, integration tests on a stack of their own",
        function="tools.suites:all_command",
        needs=Needs.BROWSER,
    ),
)
