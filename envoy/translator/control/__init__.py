"""
Keeps running Envoys in sync with the files: rollout, readiness, certificates, and the commands for a running mesh.
"""
