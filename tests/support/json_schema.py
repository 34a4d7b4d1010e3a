"""A validator for the keywords of JSON Schema that refot's schemas use. Any other keyword raises
AttributeError, so that no rule is passed over."""

from __future__ import annotations

import re
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "null": type(None), "number": (int, float)}
SAY_NOTHING = ("$schema", "$id", "$defs", "title", "description")


class JsonSchema:
    """A schema; `root` is the whole document, which holds the $defs. One method for each keyword.
    """

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def violations(self, value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
        """Where `value` violates `schema` (the root or a part of it), one line for each violation.
        `at` is the place of the value in the document."""
        if "$ref" in schema:
            part = schema["$ref"].removeprefix("#/$defs/")
            return self.violations(value, self.root["$defs"][part], at)
        return [fault for keyword, rule in schema.items() if keyword not in SAY_NOTHING
                for fault in getattr(self, f"_{keyword}")(value, rule, schema, at)]

    def _type(self, value: Any, rule: str, _: Any, at: str) -> list[str]:
        fits = isinstance(value, TYPES[rule]) and not isinstance(value, bool)
        return _unless(fits, at, f"is no {rule}")

    def _const(self, value: Any, rule: Any, _: Any, at: str) -> list[str]:
        return _unless(value == rule, at, f"is not {rule!r}")

    def _enum(self, value: Any, rule: Any, _: Any, at: str) -> list[str]:
        return _unless(value in rule, at, f"{value!r} is none of {rule}")

    def _pattern(self, value: Any, rule: str, _: Any, at: str) -> list[str]:
        fits = not isinstance(value, str) or re.search(rule, value) is not None
        return _unless(fits, at, f"{value!r} does not match")

    def _exclusiveMinimum(self, value: Any, rule: float, _: Any, at: str) -> list[str]:
        return _unless(value > rule, at, f"{value} <= {rule}")

    def _minimum(self, value: Any, rule: float, _: Any, at: str) -> list[str]:
        return _unless(not isinstance(value, int | float) or value >= rule, at, f"< {rule}")

    def _minItems(self, value: Any, rule: int, _: Any, at: str) -> list[str]:
        return _unless(not isinstance(value, list) or len(value) >= rule, at, "too few")

    def _minProperties(self, value: Any, rule: int, _: Any, at: str) -> list[str]:
        return _unless(len(value) >= rule, at, "too few")

    def _required(self, value: Any, rule: list[str], _: Any, at: str) -> list[str]:
        return _unless(isinstance(value, dict) and set(rule) <= set(value), at,
                       f"lacks one of {rule}")

    def _items(self, value: Any, rule: Any, _: Any, at: str) -> list[str]:
        return [fault for k, part in enumerate(value if isinstance(value, list) else [])
                for fault in self.violations(part, rule, f"{at}[{k}]")]

    def _properties(self, value: Any, rule: Any, _: Any, at: str) -> list[str]:
        return [fault for key, part in rule.items() if isinstance(value, dict) and key in value
                for fault in self.violations(value[key], part, f"{at}.{key}")]

    def _additionalProperties(self, value: Any, rule: Any, schema: Any, at: str) -> list[str]:
        known = schema.get("properties", {})
        extra = [key for key in value if key not in known] if isinstance(value, dict) else []
        if rule is False:
            return _unless(not extra, at, f"has {extra}")
        return [fault for key in extra for fault in self.violations(value[key], rule,
                                                                    f"{at}.{key}")]

    def _anyOf(self, value: Any, rule: Any, _: Any, at: str) -> list[str]:
        fits = any(not self.violations(value, option, at) for option in rule)
        return _unless(fits, at, "fits no option")


def _unless(holds: bool, at: str, message: str) -> list[str]:
    return [] if holds else [f"{at}: {message}"]
