"""Policies and parameters over HTTP; paths, shapes and texts are RabbitMQ's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.security.permissions import Permission
from tests.support.http_peer import HttpBroker

POLICY = {"pattern": "^q", "definition": {"max-length": 3}, "priority": 2, "apply-to": "queues"}
NOT_FOUND = {"error": "Object Not Found", "reason": "Not Found"}


def add_user(broker: HttpBroker, tag: str, permitted: bool = True) -> dict[str, str]:
    broker.gateway.users.put(tag, password="x", tags=[tag])
    if permitted:
        broker.gateway.permissions.put(Permission(tag, "/", "", "", ""))
    return {"user": tag, "password": "x"}


class TestPolicies:
    @pytest.mark.parametrize("path", ["policies", "operator-policies"])
    def test_put_and_delete(self, broker: HttpBroker, path: str) -> None:
        assert broker.call("PUT", f"{path}/%2F/p", POLICY).status == 201
        assert broker.call("PUT", f"{path}/%2F/p", POLICY).status == 204
        shown = {"vhost": "/", "name": "p", **POLICY}
        assert broker.get(f"{path}/%2F/p") == shown
        assert broker.get(path) == broker.get(f"{path}/%2F") == [shown]
        assert broker.call("DELETE", f"{path}/%2F/p").status == 204
        for method in ("GET", "DELETE"):
            assert broker.call(method, f"{path}/%2F/p").json == NOT_FOUND
        assert broker.get(path) == []
        assert broker.call("PUT", f"{path}/nowhere/p", POLICY).status == 404

    def test_what_is_not_said(self, broker: HttpBroker) -> None:
        broker.call("PUT", "policies/%2F/p", {"pattern": "", "definition": {"expires": 1}})
        found = broker.get("policies/%2F/p")
        assert (found["priority"], found["apply-to"]) == (0, "all")

    @pytest.mark.parametrize(
        ("body", "reason"),
        [
            ({}, "[{key_missing,pattern},{key_missing,definition}]"),
            ({"pattern": ""}, "[{key_missing,definition}]"),
            ({**POLICY, "definition": {}}, "Validation failed\n\nno policy provided\n"),
            ({**POLICY, "definition": {"x": 1}},
             'Validation failed\n\n[{<<"x">>,1}] are not recognised policy settings\n'),
            ({**POLICY, "priority": "5"},
             'Validation failed\n\npriority should be a number, actually was <<"5">>\n'),
            ({**POLICY, "pattern": "a("}, "Validation failed\n\npattern should be regular"
             ' expression but is invalid: {"missing ), unterminated subpattern",1}\n'),
            ([], "expected an object"),
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, broker: HttpBroker, body: Any, reason: str) -> None:
        reply = broker.call("PUT", "policies/%2F/p", body)
        assert (reply.status, reply.json) == (400, {"error": "bad_request", "reason": reason})

    def test_what_holds_is_shown(self, broker: HttpBroker) -> None:
        broker.call("PUT", "queues/%2F/q", {})
        broker.call("PUT", "policies/%2F/p", POLICY)
        limit = {"pattern": "", "definition": {"max-length": 1, "expires": 60_000}}
        broker.call("PUT", "operator-policies/%2F/o", limit)
        keys = ("policy", "operator_policy", "effective_policy_definition")
        queue = broker.get("queues/%2F/q")
        assert [queue[key] for key in keys] == ["p", "o", {"max-length": 1, "expires": 60_000}]
        exchange = broker.get("exchanges/%2F/amq.direct")
        assert [exchange[key] for key in keys] == [None, "o", limit["definition"]]
        broker.call("DELETE", "policies/%2F/p")
        broker.call("DELETE", "operator-policies/%2F/o")
        queue = broker.get("queues/%2F/q")
        assert [queue[key] for key in keys] == [None, None, {}]

    def test_a_change_works_at_once(self, broker: HttpBroker) -> None:
        peer = broker.connect()
        peer.declare()
        for number in range(5):
            peer.publish("q", b"%d" % number)
        broker.call("PUT", "policies/%2F/p", POLICY)
        assert [each.body for each in peer.consume()] == [b"2", b"3", b"4"]

    def test_who_may(self, broker: HttpBroker) -> None:
        maker = add_user(broker, "policymaker")
        manager = add_user(broker, "management")
        assert broker.call("PUT", "policies/%2F/p", POLICY, **manager).status == 401
        assert broker.call("PUT", "policies/%2F/p", POLICY, **maker).status == 201
        assert len(broker.get("policies", **manager)) == 1
        assert broker.call("PUT", "operator-policies/%2F/p", POLICY, **maker).status == 401
        value = {"value": {**POLICY}}
        path = "parameters/operator_policy/%2F/p"
        assert broker.call("PUT", path, value, **maker).status == 401
        broker.gateway.put_virtual_host("shop")
        assert broker.call("PUT", "policies/shop/p", POLICY, **maker).status == 401


class TestParameters:
    def test_what_is_a_parameter(self, broker: HttpBroker) -> None:
        broker.call("PUT", "policies/%2F/p", POLICY)
        broker.call("PUT", "operator-policies/%2F/o", POLICY)
        broker.call("PUT", "vhost-limits/%2F/max-queues", {"value": 10})
        assert broker.get("parameters") == [
            {"component": "policy", "vhost": "/", "name": "p", "value": POLICY},
            {"component": "operator_policy", "vhost": "/", "name": "o", "value": POLICY},
            {"component": "vhost-limits", "vhost": "/", "name": "limits",
             "value": {"max-queues": 10}},
        ]  # fmt: skip
        assert [each["name"] for each in broker.get("parameters/operator_policy/%2F")] == ["o"]
        assert broker.get("parameters/policy/%2F/p")["value"] == POLICY
        assert broker.get("parameters/nothing") == []
        assert broker.call("GET", "parameters/policy/%2F/none").json == NOT_FOUND

    def test_setting_them(self, broker: HttpBroker) -> None:
        path = "parameters/vhost-limits/%2F/limits"
        assert broker.call("PUT", path, {"value": {"max-queues": 0}}).status == 201
        assert broker.call("PUT", "queues/%2F/q", {}).status == 400
        assert broker.call("PUT", path, {"value": {"max-connections": 5}}).status == 204
        assert broker.call("PUT", "queues/%2F/q", {}).status == 201
        assert broker.virtual_host.limits == {"max-connections": 5}
        assert broker.call("DELETE", path).status == 204
        assert broker.call("DELETE", path).status == 404
        path = "parameters/operator_policy/%2F/o"
        assert broker.call("PUT", path, {"value": POLICY}).status == 201
        assert broker.get("queues/%2F/q")["operator_policy"] == "o"
        assert broker.call("DELETE", path).status == 204
        assert broker.call("DELETE", "parameters/nothing/%2F/o").status == 404

    @pytest.mark.parametrize(
        ("component", "value", "reason"),
        [
            ("shovel", {}, "Validation failed\n\ncomponent shovel not found\n"),
            ("policy", POLICY, "policies may not be set using this method"),
            ("operator_policy", {"pattern": "", "definition": {"expires": 1}},
             'Validation failed\n\nKey "priority" not found in limits\n'),
            ("operator_policy", 5, "expected an object"),
            ("vhost-limits", {"max-fun": 1},
             'Validation failed\n\nUnrecognised terms [{<<"max-fun">>,1}] in limits\n'),
            ("vhost-limits", {"max-queues": "x"},
             'Validation failed\n\nmax-queues should be a number, actually was <<"x">>\n'),
            ("vhost-limits", 5, "Validation failed\n\n5 are no limits\n"),
        ],
    )  # fmt: skip
    def test_what_cannot_be(
        self, broker: HttpBroker, component: str, value: Any, reason: str
    ) -> None:
        reply = broker.call("PUT", f"parameters/{component}/%2F/limits", {"value": value})
        assert (reply.status, reply.json["reason"]) == (400, reason)

    def test_global_ones(self, broker: HttpBroker) -> None:
        path = "global-parameters/tool"
        assert broker.call("PUT", path, {"value": {"a": [1]}}).status == 201
        assert broker.call("PUT", path, {"value": {"a": [2]}}).status == 204
        assert broker.call("PUT", path, {"name": "x"}).json["reason"] == "[{key_missing,value}]"
        broker.restart()
        assert broker.get(path) == {"name": "tool", "value": {"a": [2]}}
        assert broker.get("global-parameters") == [broker.get(path)]
        assert broker.call("DELETE", path).status == 204
        assert broker.call("DELETE", path).status == broker.call("GET", path).status == 404


class TestDefinitions:
    def test_go_there_and_back(self, broker: HttpBroker, tmp_path: Path) -> None:
        broker.call("PUT", "policies/%2F/p", POLICY)
        broker.call("PUT", "operator-policies/%2F/o", POLICY)
        broker.call("PUT", "global-parameters/tool", {"value": 5})
        broker.call("PUT", "queues/%2F/q", {})
        exported = broker.get("definitions")
        assert exported["policies"] == [{"vhost": "/", "name": "p", **POLICY}]
        assert exported["parameters"] == [
            {"component": "operator_policy", "vhost": "/", "name": "o", "value": POLICY}
        ]
        assert exported["global_parameters"] == [{"name": "tool", "value": 5}]
        other = HttpBroker(tmp_path / "other")
        for _ in range(2):
            assert other.call("POST", "definitions", exported).status == 204
        assert other.get("definitions") == exported
        assert other.get("queues/%2F/q")["policy"] == "p"
        other.stop()

    def test_of_one_virtual_host(self, broker: HttpBroker) -> None:
        broker.call("PUT", "policies/%2F/p", POLICY)
        broker.call("PUT", "operator-policies/%2F/o", POLICY)
        part = broker.get("definitions/%2F")
        assert part["policies"] == [{"name": "p", **POLICY}]
        broker.call("PUT", "vhosts/shop", {})
        assert broker.call("POST", "definitions/shop", part).status == 204
        assert broker.get("policies/shop/p")["definition"] == {"max-length": 3}
        assert broker.get("operator-policies/shop/o")["definition"] == {"max-length": 3}

    def test_what_only_a_plug_in_knows_is_passed_over(self, broker: HttpBroker) -> None:
        parameter = {"component": "shovel", "vhost": "nowhere", "name": "s", "value": {}}
        assert broker.call("POST", "definitions", {"parameters": [parameter]}).status == 204
        assert broker.get("parameters") == []

    def test_of_mirrored_queues(self, broker: HttpBroker) -> None:
        """As RabbitMQ 3 exports them."""
        policy = {"vhost": "/", "name": "ha", "pattern": "", "definition": {"ha-mode": "all"}}
        assert broker.call("POST", "definitions", {"policies": [policy]}).status == 204
