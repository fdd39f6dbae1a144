from model_store.preprocessing import Preprocessing
from service.oip.metadata import IndexEntry, describe_configuration, describe_index, describe_model, describe_server

GREY = Preprocessing(12, 10, (0.5,), (0.25,))
ENTRIES = [IndexEntry("a", 1, "not in memory"), IndexEntry("a", 2)]


def test_an_index_lists_versions_with_their_states() -> None:
    loaded = {"name": "a", "version": "2", "state": "READY", "reason": ""}
    assert describe_index(ENTRIES, ready_only=False) == [
        {"name": "a", "version": "1", "state": "UNAVAILABLE", "reason": "not in memory"},
        loaded,
    ]
    assert describe_index(ENTRIES, ready_only=True) == [loaded]


def test_a_server_names_the_extensions_it_knows() -> None:
    described = describe_server("1.2.3")
    assert (described["name"], described["version"]) == ("csrve", "1.2.3")
    assert "classification" in described["extensions"]  # type: ignore[operator]


def test_metadata_and_configuration_agree_but_for_the_number_of_pictures() -> None:
    described = describe_model("a", [1, 2], GREY, ["x", "y"])
    configured = describe_configuration("a", GREY, ["x", "y"], 16)
    assert described["versions"] == ["1", "2"]
    for many, single in (("inputs", "input"), ("outputs", "output")):
        tensors, configurations = described[many], configured[single]
        assert isinstance(tensors, list)
        assert isinstance(configurations, list)
        for tensor, configuration in zip(tensors, configurations, strict=True):
            assert tensor["name"] == configuration["name"]
            assert tensor["shape"] == [-1, *configuration["dims"]]
    types = {"BYTES": "TYPE_STRING", "UINT8": "TYPE_UINT8", "FP32": "TYPE_FP32"}
    assert [types[tensor["datatype"]] for tensor in described["inputs"]] == [  # type: ignore[attr-defined]
        tensor["data_type"]
        for tensor in configured["input"]  # type: ignore[attr-defined]
    ]
