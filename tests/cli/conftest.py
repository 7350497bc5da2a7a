"""The forge that these tests talk to."""

from places import place  # noqa: F401
