"""
What Istio's webhook checks beyond the schema, and what is not supported here; each mistake with its path.
"""

from translator.mesh import Mesh


def check_resources(mesh: Mesh) -> None:
    """
    Refuse the resources as a whole if any of them is wrong.
    """
