"""What holds for all tests."""

from hypothesis import settings

# A test counts and does not time: an example that takes long on a busy machine is no mistake.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
