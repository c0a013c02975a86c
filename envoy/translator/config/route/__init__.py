"""
VirtualServices -> routes (istio: networking/core/route).
"""
