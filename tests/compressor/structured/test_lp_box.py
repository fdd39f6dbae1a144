"""Projections onto the capped simplex and the sphere, against a quadratic programme's solver and by definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from compressor.structured.lp_box import project_capped_simplex, project_sphere


@pytest.mark.parametrize(("seed", "count", "total"), [(0, 5, 2), (1, 8, 1), (2, 8, 7), (3, 12, 6)])
def test_the_capped_simplex_projection_is_what_a_qp_solver_finds(seed: int, count: int, total: int) -> None:
    point = np.random.default_rng(seed).normal(0.5, 1.0, count)
    found = minimize(
        lambda x: ((x - point) ** 2).sum() / 2,
        np.full(count, total / count),
        jac=lambda x: x - point,
        bounds=[(0, 1)] * count,
        constraints={"type": "eq", "fun": lambda x: x.sum() - total, "jac": lambda x: np.ones(count)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found.success
    assert np.allclose(project_capped_simplex(torch.from_numpy(point), total).numpy(), found.x, atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.data())
def test_the_projection_lies_in_the_box_and_has_the_sum(values: list[float], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, len(values)))
    projected = project_capped_simplex(torch.tensor(values, dtype=torch.float64), total)
    assert bool(((projected >= 0) & (projected <= 1)).all())
    assert float(projected.sum()) == pytest.approx(total, abs=1e-6)


def test_a_point_of_the_capped_simplex_is_its_own_projection() -> None:
    point = torch.tensor([0.0, 0.25, 0.75, 1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(project_capped_simplex(point, 3), point, atol=1e-12)


def test_the_sphere_goes_through_the_corners_of_the_cube() -> None:
    corner = torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    assert torch.allclose(project_sphere(corner), corner)
    assert torch.allclose(project_sphere(0.5 + 0.1 * (corner - 0.5)), corner)


def test_the_projection_onto_the_sphere_has_its_radius() -> None:
    projected = project_sphere(torch.tensor([3.0, -1.0, 0.2]))
    assert float((projected - 0.5).square().sum()) == pytest.approx(3 / 4)


def test_the_centre_of_the_sphere_goes_to_the_corner_of_ones() -> None:
    assert torch.allclose(project_sphere(torch.full((4,), 0.5)), torch.ones(4, dtype=torch.float64))
