from pathlib import Path

import pytest
import torch

from compressor.errors import NetworkError
from compressor.networks import NETWORKS, build_network, input_shape_of
from tests.compressor.toys import exactly

# Counted from the papers' tables, 10 classes.
PARAMETERS = {
    "resnet18": 11_173_962,
    "resnet20": 269_722,
    "resnet50": 23_520_842,
    "lenet5": 431_080,
    "lenet300": 266_610,
}
MODULE = """
import torch

def tiny(classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, classes))

tiny.input_shape = [3, 4, 4]

class Net(torch.nn.Sequential):
    def __init__(self, classes):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, classes))

def other(classes):
    return [classes]

number = 5
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's module on the path; its name is unique, because imports are kept."""
    name = f"users_networks_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize(("name", "expected"), PARAMETERS.items())
def test_a_network_has_the_parameters_of_its_paper(name: str, expected: int) -> None:
    with torch.device("meta"):
        network = build_network(name, 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_one_logit_for_each_class(name: str) -> None:
    with torch.device("meta"):
        network = build_network(name, 7).eval()
        assert network(torch.zeros(2, *input_shape_of(name))).shape == (2, 7)


def test_a_users_callable_is_found_by_module_and_name(module: str) -> None:
    assert input_shape_of(f"{module}:tiny") == (3, 4, 4)
    assert build_network(f"{module}:tiny", 5)(torch.zeros(2, 3, 4, 4)).shape == (2, 5)


def test_a_users_class_takes_cifar_pictures_unless_it_says_otherwise(module: str) -> None:
    assert input_shape_of(f"{module}:Net") == (3, 32, 32)
    assert build_network(f"{module}:Net", 5)(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("ask", [lambda name: build_network(name, 10), input_shape_of])
def test_an_unknown_name_is_refused_with_those_that_are_known(ask: object) -> None:
    known = (
        "airbench, lenet300, lenet5, resnet101, resnet110, resnet152, resnet18, resnet20, resnet32, resnet34, "
        "resnet44, resnet50, resnet56, vgg16"
    )
    assert callable(ask)
    with pytest.raises(
        NetworkError, match=exactly(f"--network alexnet: unknown; known are {known} and module:callable")
    ):
        ask("alexnet")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MODULE:absent", "cannot be imported (module 'MODULE' has no attribute 'absent')"),
        ("no_such_module_here:net", "cannot be imported (No module named 'no_such_module_here')"),
        (":net", "cannot be imported (Empty module name)"),
        ("MODULE:number", "number is not callable"),
        ("MODULE:other", "returned list, must be a torch.nn.Module"),
        (
            "torch.nn:ReLU",
            "cannot be called with classes=10 (ReLU.__init__() got an unexpected keyword argument 'classes')",
        ),
    ],
)
def test_a_users_name_that_gives_no_network_is_refused(module: str, name: str, reason: str) -> None:
    name, reason = name.replace("MODULE", module), reason.replace("MODULE", module)
    with pytest.raises(NetworkError, match=exactly(f"--network {name}: {reason}")):
        build_network(name, 10)


def test_a_relative_module_name_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"\A--network \.near:net: cannot be imported \("):
        build_network(".near:net", 10)
