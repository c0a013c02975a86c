"""The running stack of the integration tests, whose alerts are sent to a webhook for as long as a test takes."""

from tests.integration import conftest as running

# The same stack, and the same customers.
stack, edge, load = running.stack, running.edge, running.load
