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
        name="components",
        help="the tests that start the real programs which one component needs, but no stack",
        function="tools.suites:components_command",
        needs=Needs.STORES,
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
        help="lint, unit tests, those of components, then those of a whole stack, on one of their own",
        function="tools.suites:all_command",
        needs=Needs.BROWSER,
    ),
    Command(
        name="mutation",
        help="change the heart's code in small ways, and tell which changes no test notices; an hour at most",
        function="tools.mutation.run:run",
        needs=Needs.ENVIRONMENT,
        arguments=(
            Argument("--modules", "MODULES", "a part of the names of what is mutated: inventory_svc.holds, lua/hold"),
            Argument("--sample", "SAMPLE", "so many mutants of each module, drawn by a printed seed; all without it"),
        ),
    ),
)
