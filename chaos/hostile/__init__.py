"""
Attacks on a running stack, each while a bystander places orders: no caller may affect another.

Only for the loopback addresses of one's own stack; every attack is bounded in count and time.
"""
