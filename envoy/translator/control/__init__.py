"""
Keeps running Envoys at what the files say: rollout, readiness, certificates, and the commands of a running mesh.
"""
