"""AMQP clients in many languages, each in an ordinary program, on our broker and on RabbitMQ."""
