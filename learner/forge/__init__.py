"""The forge: where proposals are published, decided and remembered. The only room that imports PyGithub."""
