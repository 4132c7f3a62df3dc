"""The demonstration: real clients of three languages against a broker of their own.

The clients here are the public libraries (pika, stomp.py and our SDK), as an application uses them;
the interop harness runs its scenarios with the same ones.
"""
