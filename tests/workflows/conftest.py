"""The forge that these tests talk to."""

from tests.places import place  # noqa: F401
