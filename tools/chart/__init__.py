"""The Helm chart, generated from the manifests that kustomize renders, so that there are not two copies of them."""
