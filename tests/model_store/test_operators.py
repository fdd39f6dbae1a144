from pathlib import Path

from model_store.operators import OPERATOR_BY_CODE, OPERATORS
from tests.reference_decoder import OPERATORS as DOCUMENTED

DOCUMENT = Path(__file__).parents[2] / "docs" / "bundle_format.md"


def test_codes_are_1_to_15_and_each_is_listed_in_the_document() -> None:
    assert list(OPERATOR_BY_CODE) == list(range(1, 16))
    text = DOCUMENT.read_text()
    for code, operator in OPERATOR_BY_CODE.items():
        assert f"\n| {code} | {operator.name}" in text
        assert OPERATORS[operator.name] is operator


def test_inputs_tensors_and_attributes_are_those_of_the_document() -> None:
    for code, operator in OPERATOR_BY_CODE.items():
        required = sum(not role.startswith("[") for role in operator.tensors)
        integers = sum(length for name, length in operator.attributes if name != "bounds")
        assert DOCUMENTED[code] == (operator.name, *operator.values, required, len(operator.tensors), integers)
