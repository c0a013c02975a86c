"""
The shop as its clients call it; used by the stack's commands, deployments, experiments, measurements and tests.

`rest` is the JSON API over whichever HTTP client is at hand, `plain` such a client of the standard library alone,
`calls` the same by gRPC.
"""
