"""STOMP clients of several languages: one table of scenarios, here and on RabbitMQ's plugin."""
