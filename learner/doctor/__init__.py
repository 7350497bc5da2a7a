"""What is wrong with an installation, and what to do about it: values, which `learner doctor` prints."""

from learner.doctor.check import Check

__all__ = ["Check"]
