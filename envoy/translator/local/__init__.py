"""
A mesh of anybody's services on one machine: a file of services, their processes, an Envoy beside each.
"""
