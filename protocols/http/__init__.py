"""RabbitMQ's management HTTP API: an operator's language, beside those of the clients."""
