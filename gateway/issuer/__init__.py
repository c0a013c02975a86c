"""The development OIDC issuer: a sign-in page for browsers, and tokens on the command line."""
