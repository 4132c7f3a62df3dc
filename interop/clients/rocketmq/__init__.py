"""RocketMQ's own clients, each in an ordinary program, on our broker; there is no other to ask."""
