"""What integration tests share: the real services."""

from tests.integration.s3_service import s3_service

__all__ = ["s3_service"]
