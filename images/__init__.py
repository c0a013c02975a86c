"""The container images: their contents, and how they are built."""
