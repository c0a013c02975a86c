"""
Istio's names of clusters, and the names of files and statistics of Envoy's resources.
"""


def outbound_cluster(port: int, subset: str, host: str) -> str:
    """
    Return the name of the cluster of a service's port and subset, on the client's side.
    """
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    """
    Return the name of the cluster of the application behind a sidecar.
    """
    return f"inbound|{port}||"


def server_name(port: int, subset: str, host: str) -> str:
    """
    Return the TLS server name by which sidecars ask for a service.
    """
    return f"outbound_.{port}_.{subset}_.{host}"


def stat_name(name: str) -> str:
    """
    Return the name of *name* in statistics: with a delimiter, because it contains dots (istio: DelimitedStatsPrefix).
    """
    return f"{name};"


def file_name(resource: str) -> str:
    """
    Return the file name of a resource.
    """
    return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in resource)
