"""AMQP 0-9-1, as RabbitMQ serves it."""
