"""A deployment on Kubernetes as an environment of experiments."""
