"""Values of overrides that Hydra's grammar refuses or reads as something else than a string.

Hydra's grammar accepts few characters without quotes: it refuses `a(1).csv`, `it's.csv` and `größe`, and reads 1.5 as a
number even if it names a column. Where a string is expected, such a value is taken as it is.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

from minitrain.config.schema import GROUPS, RunConfig, options_named
from minitrain.errors import ConfigError, abbreviate, first_line
from minitrain.options import options
from minitrain.paths import STUDIES
from minitrain.suggestions import unknown_key

PATHS_OF_HYDRA = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir")

Evaluate = Callable[[str], object]  # the value of an override; raises HydraException


def quote(value: str) -> str:
    r"""A string as Hydra's grammar accepts it, whatever its characters are.

    >>> print(quote("a(1).csv"), quote('5".csv'))
    "a(1).csv" "5\".csv"
    """
    return QuotedString(value, Quote.double).with_quotes()


def quoted_for_shell(key: str, value: str) -> str:
    """An override whose value is a string, as it is typed in a shell.

    >>> print(quoted_for_shell("data.path", "a,b.csv"))
    data.path='"a,b.csv"'
    """
    return f"{key}={shlex.quote(quote(value))}"


def accepted_by_hydra(text: str, evaluate: Evaluate) -> str:
    """An override with quotes where a string is expected and Hydra's grammar reads none.

    Values between commas are quoted one by one: they are those of a sweep, or of a list in brackets.

    Args:
        text: The override as it was typed.
        evaluate: The value that Hydra reads from an override.

    Raises:
        ConfigError: Hydra's grammar refuses the override, and no string is expected.
    """
    key, equals, value = text.partition("=")
    error = _reason(text, evaluate)
    in_brackets = value.startswith("[") and value.endswith("]")
    is_list, is_free = _expects_strings(key.lstrip("+"), in_brackets)
    if not equals or value[:1] in ("", '"', "'") or is_list is None:
        quoted = text
    elif is_list and in_brackets:
        quoted = f"{key}=[{_quote_parts(value[1:-1], is_free, evaluate)}]"
    else:
        quoted = text if is_list else f"{key}={_quote_parts(value, is_free, evaluate)}"
    if error is None and (quoted == text or not is_free):
        return text
    if quoted == text and "${" in value:  # an interpolation in another one, which only a quoted value may have
        quoted = f"{key}={quote(value)}"
    if quoted == text or _reason(quoted, evaluate) is not None:
        raise ConfigError(_explain(text, error or "not a string"))
    return quoted


def advice_for_comma(override: Override) -> str:
    """How to type a string with a comma, which separates the values of a sweep; empty if the key takes no string."""
    key, values = override.get_key_element(), override.value()
    if not isinstance(values, ChoiceSweep) or not values.simple_form or not _expects_strings(key.lstrip("+"), False)[1]:
        return ""
    parts = (value.text if isinstance(value, QuotedString) else str(value) for value in values.list)
    return f"; to give one string with a comma, quote it: {quoted_for_shell(key, ','.join(parts))}"


def _reason(text: str, evaluate: Evaluate) -> str | None:
    """Why Hydra's grammar refuses an override; None if it accepts it."""
    try:
        evaluate(text)
    except HydraException as error:
        return first_line(error)
    return None


def _expects_strings(key: str, in_brackets: bool) -> tuple[bool | None, bool]:
    """Whether a key is a list of strings (None: neither a string nor such a list), and whether any string is valid.

    Args:
        key: The key.
        in_brackets: Whether the value is in brackets; a key that takes both is then a list.
    """
    if key in (*GROUPS, STUDIES) or key.startswith("hydra/"):
        return False, False
    if key in PATHS_OF_HYDRA:
        return False, True
    known = options_named(key)
    for is_list in (in_brackets, not in_brackets):
        kind = list[str] if is_list else str
        if matching := [option for option in known if kind in option.alternatives]:
            return is_list, all(option.takes_any_string for option in matching)
    return None, False


def _quote_parts(text: str, is_free: bool, evaluate: Evaluate) -> str:
    """Quote the values between commas that Hydra's grammar does not read as strings.

    Args:
        text: The values.
        is_free: Whether a value such as 1.5 or true, which Hydra reads as another type, is a string.
        evaluate: The value that Hydra reads from an override.
    """
    parts = _split(text)
    if any(not part.strip() for part in parts):  # a comma is one of the characters
        return text
    return ",".join(part if _is_string(part, is_free, evaluate) else quote(part) for part in parts)


def _is_string(part: str, is_free: bool, evaluate: Evaluate) -> bool:
    """Whether Hydra reads a value as a string, or as something that stands for the same."""
    try:
        value = evaluate(f"key={part}")
    except HydraException:
        return False
    is_other = isinstance(value, (bool, float)) or (isinstance(value, int) and str(value) != part.strip())
    return not (is_free and is_other)


def _split(text: str) -> list[str]:
    """The parts between commas that are not in brackets, quotes or interpolations.

    >>> _split("a(1,2).csv,it's")
    ['a(1,2).csv', "it's"]
    """
    closed = re.compile(r"""\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""")
    masked = text
    while (replaced := closed.sub(lambda match: "_" * len(match[0]), masked)) != masked:
        masked = replaced
    ends = [match.start() for match in re.finditer(",", masked)] + [len(text)]
    return [text[start:end] for start, end in zip([0, *(end + 1 for end in ends)], ends, strict=False)]


def _explain(text: str, reason: str) -> str:
    key, equals, value = text.partition("=")
    name = key.lstrip("+~")
    if not equals:
        return f"{abbreviate(text)}: expected key=value"
    if not re.fullmatch(r"[\w.$/@:-]+", name, re.ASCII):  # the characters of Hydra's keys
        return f"{abbreviate(text)}: {unknown_key(name, [*options(RunConfig), *GROUPS])}"
    known = options_named(name)
    expected = f"; {name} is {known[0].expected}" if known else ""
    return (
        f"{abbreviate(text)}: expected key=value, and the value cannot be read ({reason}){expected}; a string with "
        f"special characters is quoted: {quoted_for_shell(key, abbreviate(value))}"
    )
