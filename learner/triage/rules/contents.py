"""What a program finds in its data is not what it asks for: that is between those who wrote the two."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_OTHER_SHAPE = said(
    r"(?:relation|column|function|type|schema|view|sequence|operator) \"?[\w.()\", ]{1,80}\"? does not exist", r"(?:table|view) ['\"`]?[\w.$]{1,80}['\"`]? doesn't exist", r"unknown column '[^']+' in", r"\bno such (?:table|column|function): \S+", r"invalid (?:object|column) name '[^']+'",
    r"ORA-00904|ORA-00942|ORA-04063", r"ERROR 1146\b|ERROR 1054\b|ERROR 1305\b", r"undefined (?:table|column)", r"index_not_found_exception", r"ns does not exist|NamespaceNotFound", r"violates (?:not-null|check|foreign key|unique) constraint", r"foreign key constraint fails",
    r"value too long for type", r"data (?:too long|truncated) for column", r"null value in column",
)  # fmt: skip
"""PostgreSQL, MySQL, SQLite, SQL Server, Oracle, Elasticsearch and MongoDB, and what a script says of it."""
_MIGRATES = said(
    r"migrat",
    r"alembic|flyway|liquibase|knex|sequelize|rake db:|artisan|manage\.py|sqitch|goose|CREATE (?:TABLE|INDEX|EXTENSION)|psql .{0,80}-f ",
)
"""Commands whose own order decides what is there."""


@rule(FailureType.WRONG_DIAGNOSIS)
def data_of_another_shape(seen: Seen, case: Case) -> Sign | None:
    """A job asks for a table, a column or a value that its data don't have: the job or the data has changed, and what the
    runbook does around it is in order."""
    match = _OTHER_SHAPE.search(seen.text)
    if not match or not seen.step or seen.action not in ("run_command", "run_script") or _MIGRATES.search(seen.spoken):
        return None
    return Sign(0.74, f"the job and its data don't fit each other: “{first_line(seen.text, match)}”", seen.cite)
