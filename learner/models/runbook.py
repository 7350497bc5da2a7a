"""A runbook: what to do for a kind of incident, and how to prove that it worked."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    BaseModel,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from learner.actions import catalogue
from learner.errors import LearnerError
from learner.strict import Int, Integral, Json, Matching, Seconds, Strict, Text, UtcInstant
from learner.template import check, check_expression

Platform = Literal["linux", "windows", "darwin"]
Severity = Literal["low", "medium", "high", "critical"]
RunbookId = Annotated[str, Matching(r"RB(-[A-Z0-9]+)+-[0-9]{3}", "Such as RB-LIN-SERVICE-001")]
RunbookRef = Annotated[
    str, Matching(r"RB(-[A-Z0-9]+)+-[0-9]{3}-v[1-9][0-9]*", "A runbook version, such as RB-LIN-SERVICE-001-v2")
]
StepId = Annotated[str, Matching(r"[a-z][a-z0-9_]*", "Names the step; used in expressions as steps.<id>")]
ParameterName = Annotated[str, Matching(r"[a-z][a-z0-9_]*")]
Version = Annotated[int, Field(ge=1), Integral]
Attempts = Annotated[int, Field(ge=1, le=100), Integral]
Timeout = Annotated[float, Field(gt=0, le=86_400)]


def _template(value: str) -> str:
    try:
        check(value)
    except LearnerError as e:
        raise ValueError(f"{e.message} ({e.hint})" if e.hint else e.message) from e
    return value


def _expression(value: str) -> str:
    try:
        check_expression(value)
    except LearnerError as e:
        raise ValueError(f"{e.message} ({e.hint})" if e.hint else e.message) from e
    return value


class Parameter(Strict):
    """A typed input of the runbook."""

    type: Literal["string", "integer", "number", "boolean"]
    default: str | bool | Int | float | None = None
    pattern: str | None = None
    enum: tuple[str | bool | Int | float, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    secret: bool = False
    """A secret's value is never written anywhere, in any form."""
    description: str | None = None

    @property
    def required(self) -> bool:
        return "default" not in self.model_fields_set


class Retry(Strict):
    """How often a step is tried, with waits of `delay_seconds · backoff^n` between."""

    attempts: Attempts = 1
    delay_seconds: Seconds = 1.0
    backoff: Annotated[float, Field(ge=1, le=10)] = 1.0
    until: str | None = None
    """An expression over `steps.<id>`; the step counts as done when it is true."""

    @field_validator("until")
    @classmethod
    def _until(cls, value: str | None) -> str | None:
        return value if value is None else _expression(value)


class Goto(Strict):
    """Go on at another step."""

    goto: StepId


def _params_schema(kind: Literal["actions", "checks"], key: str, schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` of a step or check, with its parameters tied to its action by `if`/`then`."""
    known = getattr(catalogue(), kind)
    schema["properties"][key] = {"type": "string", "enum": sorted(known), "title": key.title()}
    schema["allOf"] = []
    for name in sorted(known):
        params = _inlined(templated(known[name].Params).model_json_schema())
        params["description"] = " ".join((type(known[name]).__doc__ or "").split())
        then: dict[str, Any] = {"properties": {"params": params}}
        if params.get("required"):
            then["required"] = ["params"]
        schema["allOf"].append({"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": then})
    return schema


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    definitions = schema.pop("$defs", {})

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return walk(definitions[value["$ref"].rsplit("/", 1)[1]])
            return {k: walk(v) for k, v in value.items() if k != "title" or not isinstance(v, str)}
        return [walk(v) for v in value] if isinstance(value, list) else value

    return dict(walk(schema))


Expression = Annotated[str, Matching(r"\s*\{\{[^{}]+\}\}\s*", "An expression that gives the value: {{ … }}")]
TextWithExpression = Annotated[str, Matching(r"[\s\S]*\{\{[^{}]+\}\}[\s\S]*", "A text with expressions: {{ … }}")]


@lru_cache(maxsize=256)
def templated(params: type[Strict]) -> type[BaseModel]:
    """A model of `params` in which every value, also a list's items, may be `{{ expression }}` instead.

    A text may also hold expressions among other words, whatever pattern its final value must match.
    """
    fields: dict[str, Any] = {}
    for name, info in params.model_fields.items():
        constrained = _annotated(info.annotation, *info.metadata)
        default = ... if info.is_required() else info.default
        fields[name] = (_or_template(constrained), Field(default, description=info.description))
    return create_model(f"Templated{params.__name__}", __base__=Strict, __doc__=params.__doc__, **fields)


def _or_template(annotation: Any) -> Any:
    inner, metadata = annotation, ()
    if get_origin(annotation) is Annotated:
        inner, *rest = get_args(annotation)
        metadata = tuple(rest)
    if get_origin(inner) is tuple:
        return _annotated(tuple.__class_getitem__((_or_template(get_args(inner)[0]), ...)), *metadata) | Expression
    if annotation is str or get_origin(inner) is dict:
        return annotation
    kinds = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in (get_args(inner) or (inner,))]
    return annotation | (TextWithExpression if str in kinds else Expression)


def _annotated(annotation: Any, *metadata: Any) -> Any:
    """`Annotated[annotation, *metadata]`, made at run time."""
    special: Any = Annotated
    return special[(annotation, *metadata)] if metadata else annotation


def _check_params(params: type[Strict], value: dict[str, Json]) -> None:
    """Raises: `ValueError` naming every parameter that does not fit."""
    import json

    try:
        templated(params).model_validate_json(json.dumps(value))
    except ValidationError as e:
        said: dict[str, str] = {}
        for error in e.errors():
            where = "params." + str(error["loc"][0]) if error["loc"] else "params"
            said.setdefault(where, error["msg"].removeprefix("Value error, "))
        raise ValueError("; ".join(f"{where}: {words}" for where, words in said.items())) from None


def _check_templates(value: Json) -> None:
    if isinstance(value, str):
        _template(value)
    elif isinstance(value, dict):
        for key, below in value.items():
            _template(key)
            _check_templates(below)
    elif isinstance(value, list | tuple):
        for below in value:
            _check_templates(below)


def near(word: str, known: list[str]) -> str:
    """The question after a word that nobody knows; empty when no known word is close."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


class Step(Strict):
    """One action of the catalogue, with what to do when it does not work."""

    id: StepId
    action: str
    params: dict[str, Json] = {}
    when: str | None = None
    """An expression; the step is left out when it is false."""
    become: bool = False
    """Run with administrator's rights (`sudo -n`)."""
    timeout_seconds: Timeout | None = None
    retry: Retry | None = None
    on_failure: Literal["abort", "continue", "rollback"] | Goto = "abort"
    why: str | None = None

    @field_validator("when")
    @classmethod
    def _when(cls, value: str | None) -> str | None:
        return value if value is None else _expression(value)

    @model_validator(mode="after")
    def _of_the_catalogue(self) -> Step:
        known = catalogue().actions
        if self.action not in known:
            raise ValueError(f"there is no action {self.action}{near(self.action, list(known))}")
        _check_params(known[self.action].Params, self.params)
        _check_templates(self.params)
        if self.action == "run_script" and "{{" in str(self.params.get("script", "")):
            raise ValueError("params.script: no templates in a script's text; pass the value through params.env")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        return _params_schema("actions", "action", schema)

    @property
    def retries(self) -> Retry:
        return self.retry or Retry()


class Verification(Strict):
    """A live probe after the steps: a claim, how long it may take, and how long it must then hold."""

    id: StepId
    check: str
    params: dict[str, Json] = {}
    within_seconds: Seconds = 0.0
    stays_good_seconds: Seconds = 0.0
    why: str | None = None

    @model_validator(mode="after")
    def _of_the_catalogue(self) -> Verification:
        known = catalogue().checks
        if self.check not in known:
            raise ValueError(f"there is no check {self.check}{near(self.check, list(known))}")
        _check_params(known[self.check].Params, self.params)
        _check_templates(self.params)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        return _params_schema("checks", "check", schema)


class RunbookMetadata(Strict):
    """Written by the learner on versions it proposes. For readers; nothing trusts it."""

    parent_runbook: RunbookRef | None = None
    generated_by: str | None = None
    generated_at: UtcInstant | None = None
    generation_model: str | None = None
    generated_from_failures: tuple[str, ...] = ()
    failure_type: str | None = None
    original_error: str | None = None
    requires_human_review: bool | None = None


class Runbook(Strict):
    """A runbook, as `runbooks/<platform>/<id>.yaml` holds it."""

    id: RunbookId
    version: Version
    name: Text
    description: Text
    platform: Platform
    incident_types: Annotated[tuple[Text, ...], Field(min_length=1)]
    selector: dict[str, str] = {}
    """Labels that an incident or its host must carry."""
    severity: Severity = "medium"
    parameters: dict[ParameterName, Parameter] = {}
    preconditions: tuple[str, ...] = ()
    """Expressions; when one does not hold nothing is touched and the run is `skipped`."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    verification: Annotated[tuple[Verification, ...], Field(min_length=1)]
    rollback: tuple[Step, ...] = ()
    finally_: Annotated[tuple[Step, ...], Field(alias="finally")] = ()
    evidence_required: tuple[Text, ...] = ()
    compliance_controls: tuple[Text, ...] = ()
    metadata: RunbookMetadata | None = None

    @field_validator("preconditions")
    @classmethod
    def _preconditions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for expression in value:
            _expression(expression)
        return value

    @property
    def ref(self) -> str:
        """The version's name: `RB-LIN-SERVICE-001-v2`."""
        return f"{self.id}-v{self.version}"

    @property
    def path(self) -> str:
        """Where it lives in the repository."""
        return f"runbooks/{self.platform}/{self.id}.yaml"

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """Steps, rollback and cleanup, in that order."""
        return (*self.steps, *self.rollback, *self.finally_)


def misfit(name: str, parameter: Parameter, value: Json) -> str | None:
    """Why `value` does not fit the parameter; None when it does."""
    import re

    kinds: dict[str, Any] = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
    if not isinstance(value, kinds[parameter.type]) or (parameter.type != "boolean" and isinstance(value, bool)):
        return f"{name}: {value!r} is no {parameter.type}"
    if isinstance(value, str):
        try:
            if parameter.pattern is not None and not re.search(re.sub(r"(?<!\\)\$$", r"\\Z", parameter.pattern), value):
                return f"{name}: {value!r} does not match {parameter.pattern}"
        except re.error as e:
            return f"{name}: its pattern {parameter.pattern} is no regular expression: {e}"
        if "\x00" in value:
            return f"{name}: a NUL character"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if parameter.minimum is not None and value < parameter.minimum:
            return f"{name}: {value} is below {parameter.minimum:g}"
        if parameter.maximum is not None and value > parameter.maximum:
            return f"{name}: {value} is above {parameter.maximum:g}"
    if parameter.enum is not None and value not in parameter.enum:
        return f"{name}: {value!r} is none of {', '.join(map(str, parameter.enum))}"
    return None
