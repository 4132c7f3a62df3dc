"""A machine that is busy is no reason to fail."""

from hypothesis import settings

settings.register_profile("rosettamq", deadline=None)
settings.load_profile("rosettamq")
