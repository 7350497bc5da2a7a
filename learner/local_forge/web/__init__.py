"""The review page: what a person sees of a pull request, and what they decide there."""
