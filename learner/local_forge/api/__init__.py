"""GitHub's REST operations over one repository. One module a room of GitHub's own reference."""
