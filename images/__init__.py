"""The container images: what each is made of, and how they are built."""
