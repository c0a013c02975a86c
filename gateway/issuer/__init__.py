"""The development OIDC issuer: a sign-in page for browsers, and tokens from the command line."""
