"""Requests a second and latency of whole services: ours beside what others would write in an afternoon."""
