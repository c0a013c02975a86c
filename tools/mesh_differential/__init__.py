"""
The differential test of the local mesh: what the translator and Istio itself make of the same documents and meshes.
"""
