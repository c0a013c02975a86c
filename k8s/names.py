"""The namespace in names: the files of k8s/ and istio/ are written for `shop`, and rendered for any other."""

import re

WRITTEN = "shop"
DOMAIN = "cluster.local"
"""The cluster's domain and, in principals, Istio's word for the mesh's own trust domain, whatever that is."""
# The label of the edge's pods, without which its Gateway would select those of every namespace.
LABEL = re.compile(rf"^( +{WRITTEN}: ){WRITTEN}$", re.MULTILINE)
QUERY = re.compile(rf'(\bnamespace=\\?"){WRITTEN}\b')


def renamed(text: str, namespace: str, domain: str = DOMAIN, trust_domain: str = DOMAIN) -> str:
    """Return *text* with hosts, principals and queries of another namespace, cluster's domain and trust domain."""
    for old, new in (
        (f".{WRITTEN}.svc.{DOMAIN}", f".{namespace}.svc.{domain}"),
        (f"{DOMAIN}/ns/{WRITTEN}/", f"{trust_domain}/ns/{namespace}/"),
    ):
        text = text.replace(old, new)
    return QUERY.sub(rf"\g<1>{namespace}", text)


def rendered(manifests: str, namespace: str) -> str:
    """Return what kustomize rendered with the namespace's name also where kustomize does not know it."""
    return renamed(LABEL.sub(rf'\g<1>"{namespace}"', manifests), namespace)
