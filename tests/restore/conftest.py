"""The running stack of the integration tests, which a restore stops and starts."""

from tests.integration import conftest as running

# The same stack, and the same customers.
stack, edge, load = running.stack, running.edge, running.load
