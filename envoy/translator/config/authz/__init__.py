"""
AuthorizationPolicies -> RBAC filters (istio: security/authz).
"""
