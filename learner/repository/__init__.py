"""Git, and nothing but Git: the only room that starts `git` or imports GitPython."""
