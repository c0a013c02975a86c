"""The running stack of the integration tests, with three brokers and three members of PostgreSQL."""

from tests.integration import conftest as running

# The same stack, and the same customers.
stack, edge, load = running.stack, running.edge, running.load
