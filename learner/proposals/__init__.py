"""Proposals: which failures are worth a better version, what that version is, and its bytes.

`select` decides what to work on; a proposer (`patterns`, or a model by way of `openai`) answers a `Brief` with a
`RunbookEdit`; `edit.apply` makes the next version's bytes out of it.
"""
