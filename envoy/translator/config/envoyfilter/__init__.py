"""
EnvoyFilters -> changes to what was generated (istio: networking/core/envoyfilter).
"""
