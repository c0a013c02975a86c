"""
The names Istio gives to clusters and to the files and statistics of Envoy's resources.
"""


def outbound_cluster(port: int, subset: str, host: str) -> str:
    """
    The cluster of a service's port and subset, as a client sees it.
    """
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    """
    The cluster of the application behind a sidecar.
    """
    return f"inbound|{port}||"


def server_name(port: int, subset: str, host: str) -> str:
    """
    The TLS server name by which sidecars ask for a service.
    """
    return f"outbound_.{port}_.{subset}_.{host}"


def stat_name(name: str) -> str:
    """
    What statistics of *name* are called: the name with an end, since it has dots (istio: DelimitedStatsPrefix).
    """
    return f"{name};"


def file_name(resource: str) -> str:
    """
    A name for the file of a resource.
    """
    return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in resource)
