from __future__ import annotations

import pytest

from gateway.errors import LoginRefusedError, NotFoundError, PreconditionFailedError
from gateway.security import passwords
from gateway.security.users import Users
from tests.support.documents import MemoryDocuments

HOME = "127.0.0.1"
AWAY = "192.0.2.7"


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def users(documents: MemoryDocuments) -> Users:
    users = Users(documents)
    users.put("ada", password="lovelace", tags=["management"])
    users.put("guest", password="guest")
    return users


def refused(users: Users, name: str, password: str, host: str = HOME) -> str:
    with pytest.raises(LoginRefusedError) as caught:
        users.login(name, password, host)
    return str(caught.value)


def test_a_user_logs_in_from_anywhere(users: Users) -> None:
    assert users.login("ada", "lovelace", AWAY) == "ada"


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "wrong"), ("ada", ""), ("nobody", "x"), ("", ""), ("\udcff", "x"), ("ada", "\udcff")],
)
def test_wrong_credentials(users: Users, name: str, password: str) -> None:
    assert refused(users, name, password) == f"user '{name}' - invalid credentials"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_loopback_user_at_home(users: Users, host: str) -> None:
    assert users.login("guest", "guest", host) == "guest"


@pytest.mark.parametrize("host", [AWAY, "::2", "", "localhost"])
def test_a_loopback_user_away(users: Users, host: str) -> None:
    expected = "user 'guest' can only connect via localhost"
    assert refused(users, "guest", "guest", host) == expected


def test_who_is_a_loopback_user_is_configured(documents: MemoryDocuments) -> None:
    users = Users(documents, ["ada"])
    users.put("ada", password="lovelace")
    users.put("guest", password="guest")
    assert users.login("guest", "guest", AWAY) == "guest"
    assert "localhost" in refused(users, "ada", "lovelace", AWAY)


def test_users_survive_a_restart(users: Users, documents: MemoryDocuments) -> None:
    users.set_limit("ada", "max-connections", 3)
    again = Users(documents)
    again.restore()
    assert again.login("ada", "lovelace", AWAY) == "ada"
    assert again.find("ada").tags == ("management",)
    assert again.limit("ada", "max-connections") == 3
    assert again.limit("ada", "max-channels") == -1


def test_a_verified_password_is_not_hashed_again(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients reconnect all at once; the reactor must not pay a scrypt for each."""
    users.login("ada", "lovelace", AWAY)
    monkeypatch.setattr(passwords, "_scrypt", None)
    users.login("ada", "lovelace", AWAY)


def test_a_wrong_password_is_not_hashed_again_either(
    users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        refused(users, "ada", "byron")
        patch.setattr(passwords.hashlib, "scrypt", None)
        refused(users, "ada", "byron")
    users.put("ada", password="byron")
    assert users.login("ada", "byron", HOME) == "ada"


def test_a_changed_password_is_not_right_any_more(users: Users) -> None:
    users.login("ada", "lovelace", AWAY)
    assert not users.put("ada", password="byron")
    assert "invalid" in refused(users, "ada", "lovelace")
    users.login("ada", "byron", AWAY)
    users.delete("ada")
    assert "invalid" in refused(users, "ada", "byron")


def test_a_user_without_a_password_cannot_log_in(users: Users) -> None:
    users.put("ghost")
    assert "invalid" in refused(users, "ghost", "x")


def test_what_makes_no_user(users: Users) -> None:
    with pytest.raises(PreconditionFailedError, match="blank"):
        users.put("eve", password="")
    with pytest.raises(PreconditionFailedError, match="name"):
        users.put("", password="x")
    with pytest.raises(PreconditionFailedError, match="base64"):
        users.put("eve", password_hash="!")
    assert "eve" not in users
    with pytest.raises(NotFoundError, match="no user 'eve'"):
        users.delete("eve")
    with pytest.raises(PreconditionFailedError, match="max-mood"):
        users.set_limit("ada", "max-mood", 1)


def test_a_limit_is_lifted(users: Users) -> None:
    users.set_limit("ada", "max-channels", 1)
    users.put("ada", password="new")
    assert users.limit("ada", "max-channels") == 1, "a new password does not lift it"
    users.set_limit("ada", "max-channels", None)
    assert users.limit("ada", "max-channels") == -1
    assert users.limit("nobody", "max-channels") == -1
