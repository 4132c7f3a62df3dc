"""STOMP over WebSocket with @stomp/stompjs: the same scenarios in Node and in a real browser."""
