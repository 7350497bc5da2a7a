"""The forge and the job that these tests ask."""

from places import place  # noqa: F401
from tests.pipeline.test_learn import job  # noqa: F401
