"""STOMP 1.0, 1.1 and 1.2 as RabbitMQ's plugin speaks them: sans-IO, one module per noun."""
