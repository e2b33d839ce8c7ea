"""Selecting runs by conditions such as `lr<0.5`."""

from __future__ import annotations

import operator
import re

import yaml

from minitrain.compare.comparison import MOST_LISTED, check_key, sorted_values
from minitrain.compare.results import Result, Results, format_value, is_number, value_of
from minitrain.errors import ConfigError, plural
from minitrain.plotting.figures import truncate

OPERATORS = {"<=": operator.le, ">=": operator.ge, "!=": operator.ne, "==": operator.eq, "=": operator.eq,
             "<": operator.lt, ">": operator.gt}  # fmt: skip
CONDITION = re.compile(r"([\w.]+)\s*(<=|>=|!=|==|=|<|>)\s*(.+)")
EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")  # 1e-3, which YAML 1.1 reads as a string
LONGEST_LISTED = 200  # characters of the values that an error message lists


def filter_results(results: Results, condition: str) -> Results:
    """Select the runs that satisfy a condition: `lr<0.5`, `activation=relu`, `status=completed`.

    Raises:
        ConfigError: The condition is malformed, no run has its key, or no run satisfies it.
    """
    key, sign, reference = _parse_condition(condition)
    if key != "status":
        check_key(results.runs, key)
    matching = [run for run in results if _satisfies(_filter_value(run, key), sign, reference)]
    if not matching:
        values = [format_value(value) for value in sorted_values(_filter_value(run, key) for run in results)]
        listed = ", ".join(values[:MOST_LISTED]) + (", …" if len(values) > MOST_LISTED else "")
        raise ConfigError(
            f"--filter {condition}: matches none of {plural(len(results), 'run')}; "
            f"values of {key}: {truncate(listed, LONGEST_LISTED)}"
        )
    return Results(matching, results.skipped)


def _parse_condition(condition: str) -> tuple[str, str, object]:
    """The key, the operator and the reference value of a condition."""
    match = CONDITION.fullmatch(condition.strip())
    if match is None or match[3][0] in "<>=!":
        raise ConfigError(f"--filter {condition}: expected KEY<VALUE with one of the operators < <= > >= = !=")
    key, sign, text = match.groups()
    try:
        reference = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # ValueError: a date that does not exist
        reference = text
    if isinstance(reference, str) and EXPONENT.fullmatch(text):
        reference = float(text)
    if sign in ("<", "<=", ">", ">=") and not is_number(reference):
        raise ConfigError(f"--filter {condition}: expected a number after {sign}; only = and != accept names")
    return key, sign, reference


def _filter_value(run: Result, key: str) -> object:
    return run.status if key == "status" else value_of(run, key)


def _satisfies(value: object, sign: str, reference: object) -> bool:
    if is_number(value) and is_number(reference):
        return bool(OPERATORS[sign](value, reference))
    return sign in ("=", "==", "!=") and bool(OPERATORS[sign](format_value(value), format_value(reference)))
