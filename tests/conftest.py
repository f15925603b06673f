"""Makes the real services known to every ring; each starts once a session, when a test first asks for it."""

pytest_plugins = [
    "tests.services.postgres_service",
    "tests.services.rabbitmq_service",
    "tests.services.redis_service",
    "tests.services.s3_service",
]
