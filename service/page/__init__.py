"""The web page: its files, as they are sent, and nothing else of this folder."""

from service.page.assets import ASSETS, CONTENT_SECURITY_POLICY, Asset

__all__ = ["ASSETS", "CONTENT_SECURITY_POLICY", "Asset"]
