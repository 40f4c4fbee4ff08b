"""Every constraint of a payload has a sentence for people, and names the field that is wrong."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types as limits
import pytest
from pydantic import AfterValidator, AliasChoices, AliasPath, BaseModel, WithJsonSchema
from pydantic.fields import FieldInfo
from typing_extensions import TypeAliasType

from app.sessions import payloads
from app.sessions.errors import SessionError
from app.sessions.payloads import AddMovies, CreateSession, JoinOptions, Payload, UpdateSession, parse
from app.sessions.rules import Rules
from tests.model.test_rules import RULES

MODELS: Final = [
    model
    for _, model in inspect.getmembers(payloads, inspect.isclass)
    if issubclass(model, Payload) and model not in (Payload, payloads.Mutation)
]

# Sentences about what a validator of ours refuses, by its name, with a value that it refuses.
OURS: Final[dict[str, tuple[Any, str]]] = {
    "_id": ("a|b", "must have no spaces around it, no | and no /"),
    "_https": ("http://a", "must be an https URL"),
    "_cursor": ("x", "must be the `next` of an earlier page"),
}
NOT_EMPTY: Final = "must not be empty"
MOVIE: Final = {"id": "a", "title": "A"}


class Wrong(NamedTuple):
    """A value that is refused, at a path below the field, and what is said of it."""

    value: Any
    sentence: str
    path: tuple[str | int, ...] = ()


TYPES: Final[dict[Any, list[Wrong]]] = {
    str: [Wrong(1, "must be text"), Wrong(["x"], "must be text")],
    int: [Wrong(value, "must be a whole number") for value in ("1", 1.0, True)],
    float: [Wrong("1", "must be a number")],
    bool: [Wrong(value, "must be true or false") for value in ("yes", 1)],
}


def wrong_values(annotation: Any, metadata: list[Any]) -> Iterator[Wrong]:
    """Yield a value for each constraint."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        [annotation] = [argument for argument in arguments if argument is not type(None)]
        yield from wrong_values(annotation, metadata)
    elif origin is Annotated:
        yield from wrong_values(arguments[0], [*arguments[1:], *metadata])
    else:
        yield from wrong_types(annotation)
        for constraint in metadata:
            for part in constraint.metadata if isinstance(constraint, FieldInfo) else [constraint]:
                yield from broken(part, is_list=origin is list)


def wrong_types(annotation: Any) -> Iterator[Wrong]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield Wrong("x", f"must be {' or '.join(arguments)}")
    elif origin is list:
        yield Wrong({}, "must be a list")
        for wrong in wrong_values(arguments[0], []):
            yield Wrong([wrong.value], wrong.sentence, (0, *wrong.path))
    elif annotation in TYPES:
        yield from TYPES[annotation]
    else:
        yield Wrong("x", "must be an object")
        yield from wrong_fields(annotation)


def broken(constraint: Any, *, is_list: bool) -> Iterator[Wrong]:
    """Yield values that break one constraint."""
    match constraint:
        case limits.Ge(ge=int(least)):
            yield Wrong(least - 1, f"must be {least} or {'later' if least == 1850 else 'more'}")
        case limits.Le(le=int(most)):
            yield Wrong(most + 1, f"must be {most} or {'earlier' if most == 2200 else 'less'}")
        case limits.Gt(gt=int(bound)):
            yield Wrong(bound, f"must be more than {bound}")
        case WithJsonSchema():
            pass
        case AfterValidator(func=validator):
            yield Wrong(*OURS[validator.__name__])
        case limits.MinLen() | limits.MaxLen():
            yield wrong_length(constraint, is_list=is_list)
        case _:
            yield from broken_by_name(constraint)


def wrong_length(constraint: limits.MinLen | limits.MaxLen, *, is_list: bool) -> Wrong:
    if isinstance(constraint, limits.MaxLen):
        most = constraint.max_length
        sentence = f"must have at most {most} entries" if is_list else f"must be at most {most} characters"
        return Wrong([MOVIE if most > 20 else "x"] * (most + 1) if is_list else "x" * (most + 1), sentence)
    least = constraint.min_length
    return Wrong(
        ["x"] * 0 if is_list else "x" * (least - 1), NOT_EMPTY if least == 1 else f"must be at least {least} characters"
    )


def broken_by_name(constraint: Any) -> Iterator[Wrong]:
    """Yield values for a constraint whose class is private."""
    if type(constraint).__name__ == "_Text":
        yield Wrong("x" * (constraint.longest + 1), f"must be at most {constraint.longest} characters")
        yield Wrong("a\0", "must not contain control characters")
        yield Wrong("\ud800", "must not contain control characters")
        yield Wrong("x" + "\u0316" * 31, "must not contain more than 30 combining marks in a row")
        yield Wrong("\u200b", "must contain a visible character")
        if constraint.shortest:
            least = constraint.shortest
            yield Wrong(" ", NOT_EMPTY if least == 1 else f"must be at least {least} characters")
        return
    rules = constraint.__dict__
    assert rules.keys() <= {"allow_inf_nan", "pattern", "fail_fast"}, f"no wrong value for {constraint}"
    if "allow_inf_nan" in rules:
        yield from (Wrong(value, "must be a number") for value in (float("inf"), float("nan")))
    if "pattern" in rules:
        yield Wrong("two words", "must be visible ASCII characters")


def wrong_fields(model: type[BaseModel]) -> Iterator[Wrong]:
    """Yield a payload for each constraint of a model, with the field that is wrong."""
    right = {
        wire_name(name, field): right_value(field) for name, field in model.model_fields.items() if field.is_required()
    }
    for name, field in model.model_fields.items():
        shown = wire_name(name, field)
        if field.is_required():
            rest = {other: value for other, value in right.items() if other != shown}
            yield Wrong(rest, "must be given", (shown,))
        for wrong in wrong_values(field.annotation, list(field.metadata)):
            yield Wrong(right | {shown: wrong.value}, wrong.sentence, (shown, *wrong.path))


def wire_name(name: str, field: FieldInfo) -> str:
    match field.validation_alias:
        case AliasChoices(choices=[str(first), *_]):
            return first
        case AliasPath() | AliasChoices():
            raise AssertionError(name)
    return field.validation_alias or field.alias or name


def right_value(field: FieldInfo) -> Any:
    if isinstance(field.annotation, TypeAliasType):
        return 1
    return [MOVIE] if get_origin(field.annotation) is list else "x"


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_constraint_has_a_sentence_for_people(model: type[Payload]) -> None:
    found = list(wrong_fields(model))
    assert found
    for wrong in found:
        with pytest.raises(SessionError) as refused:
            parse(model, wrong.value)
        error, told = refused.value, wrong.path
        if model is AddMovies and told[:1] != ("movies",) and "movies" not in wrong.value:
            # One movie by itself is a list of one.
            told = ("movies",)
        assert (error.code, error.field) == ("invalid-payload", ".".join(map(str, told))), wrong
        subject, _, _ = error.message.partition(f" {wrong.sentence}")
        assert error.message == f"{subject} {wrong.sentence}", wrong
        assert subject[0].isupper()
        assert subject.replace(" ", "").isalnum()


@pytest.mark.parametrize(
    ("model", "data", "message", "field"),
    [
        (AddMovies, {"id": "a", "title": "A", "year": 1700}, "Year must be 1850 or later", "movies.0.year"),
        (
            AddMovies,
            {"id": "a", "title": "A", "posterUrl": "x"},
            "Poster URL must be an https URL",
            "movies.0.posterUrl",
        ),
        (AddMovies, {"movies": [{"id": "a", "title": "A"}, 7]}, "Movie 2 must be an object", "movies.1"),
        (CreateSession, {"movies": [{"title": "A"}]}, "ID must be given", "movies.0.id"),
        (AddMovies, {"id": "a", "title": "A", "genres": ["x", ""]}, "Genre 2 must not be empty", "movies.0.genres.1"),
        (CreateSession, {"leaverRatings": "x"}, "Leaver ratings must be keep or drop", "leaverRatings"),
        (payloads.Vote, {"movieID": "m", "rating": 9}, "Rating must be 5 or less", "rating"),
        (payloads.Vote, {"rating": 5}, "Movie ID must be given", "movieID"),
        (payloads.NoArguments, {"mid": "a b"}, "Idempotency key must be visible ASCII characters", "mid"),
        (JoinOptions, [], "The request must be an object", None),
        (UpdateSession, {}, "The request must change something", None),
    ],
)
def test_a_sentence_names_the_field_as_people_do(
    model: type[Payload], data: Any, message: str, field: str | None
) -> None:
    with pytest.raises(SessionError) as refused:
        parse(model, data)
    assert (refused.value.message, refused.value.field) == (message, field)


RULED: Final[dict[str, list[tuple[Any, str, str]]]] = {
    "allowed_lifetime": [
        (59.5, "ttlSeconds", "Lifetime must be 60 seconds or more"),
        (3601, "ttlSeconds", "Lifetime must be 3600 seconds or less"),
    ],
    "allowed_decision_time": [(3601, "decideInSeconds", "Time until the decision must be 3600 seconds or less")],
    "allowed_capacity": [(11, "capacity", "Capacity must be 10 or less")],
}


def test_the_limits_of_a_deployment_are_told_in_the_same_way() -> None:
    methods = {name for name in vars(Rules) if name.startswith("allowed_")}
    assert methods == {*RULED, "allowed_movies"}
    for name, refused in RULED.items():
        for value, field, message in refused:
            with pytest.raises(SessionError) as error:
                getattr(RULES, name)(value)
            assert (error.value.code, error.value.field, error.value.message) == ("invalid-payload", field, message)
