"""
The developers' commands: `python -m tools COMMAND`, as the Makefile calls them.

Standard library only: the bootstrap reads it before anything is installed.
"""

from stack.command_table import Argument, Command, Needs

TESTS = Argument("tests", "TESTS", "a folder, a file or FILE::TEST; all without it")

COMMANDS = (
    Command(
        name="lint",
        help="all static checks",
        function="tools.lint:run",
        needs=Needs.ENVIRONMENT,
    ),
    Command(
        name="unit",
        help="the unit tests, which start no servers",
        function="tools.suites:unit_command",
        needs=Needs.ENVIRONMENT,
        arguments=(TESTS,),
    ),
    Command(
        name="components",
        help="the tests of one component with the real programs it needs",
        function="tools.suites:components_command",
        needs=Needs.ALERTMANAGER,
        arguments=(TESTS,),
    ),
    Command(
        name="integration",
        help="the tests of a whole stack, on a stack of their own",
        function="tools.suites:integration_command",
        needs=Needs.BROWSER,
        arguments=(TESTS,),
    ),
    Command(
        name="test",
        help="lint, then the unit, component and integration tests, the latter on a stack of their own",
        function="tools.suites:all_command",
        needs=Needs.BROWSER,
    ),
    Command(
        name="simulate",
        help="run the whole system in one process, in virtual time, once for each seed: the seed draws what fails",
        function="tools.suites:simulate_command",
        needs=Needs.ENVIRONMENT,
        arguments=(
            Argument("--seeds", "SEEDS", "how many seeds, from 1 on; 1000 when it is not given"),
            Argument("--seed", "SEED", "this one alone, with all that happened in it"),
            Argument("--defects", "DEFECTS", "yes: plant each known defect, and tell which seed finds it"),
        ),
    ),
    Command(
        name="mutation",
        help="mutation testing of the core: which small changes no test detects; an hour at most",
        function="tools.mutation.run:run",
        needs=Needs.ENVIRONMENT,
        arguments=(
            Argument("--modules", "MODULES", "part of a module's name: inventory_svc.holds, lua/hold"),
            Argument("--sample", "SAMPLE", "mutants of each module, drawn from a printed seed; all without it"),
            Argument("--stores", "STORES", "no: only the unit tests, which start no server"),
        ),
    ),
)
