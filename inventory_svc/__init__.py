"""The inventory service: holds stock and never oversells."""
