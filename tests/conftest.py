"""What all tests share: no test fails because a machine is slow."""

from hypothesis import settings

settings.register_profile("gadfly", deadline=None)
settings.load_profile("gadfly")
