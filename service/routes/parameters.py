"""Query parameters that several routes share."""

from typing import Annotated

from fastapi import Query

Version = Annotated[int | None, Query(ge=1, le=999_999_999, description="Which version; by default the latest.")]
