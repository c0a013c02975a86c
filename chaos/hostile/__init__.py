"""
Attacks on a running stack, each while a bystander shops: what one caller does must not be felt by another.

Only ever pointed at the loopback addresses of one's own stack; every attack is bounded in count and time.
"""
