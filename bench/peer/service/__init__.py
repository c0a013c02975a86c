"""
The naive stack: a gateway, orders and inventory over HTTP, as their own authors would write them.

No mesh, no outbox, no tokens: an event is sent after the commit, and is lost if the process ends in between. It is
not slowed down on purpose, and needs nothing of ours.
"""
