"""One configured model."""

import pytest

from routecast.upstream.apis import Api
from routecast.upstream.endpoint import Endpoint


@pytest.mark.parametrize("base_url", ["http://h/v1", "http://h/v1/"])
@pytest.mark.parametrize("path", ["/chat/completions", "chat/completions"])
def test_a_path_is_joined_with_one_slash(base_url: str, path: str) -> None:
    endpoint = Endpoint(name="a", model="b", base_url=base_url)
    assert endpoint.url(path) == "http://h/v1/chat/completions"


def test_a_key_goes_into_the_header_and_nowhere_else() -> None:
    endpoint = Endpoint(name="a", model="b", base_url="http://h/v1", api_key="sk-secret")
    assert endpoint.headers() == {"Authorization": "Bearer sk-secret"}
    assert "sk-secret" not in repr(endpoint)


def test_without_a_key_there_is_no_header() -> None:
    assert Endpoint(name="a", model="b", base_url="http://h/v1").headers() == {}


@pytest.mark.parametrize("api", list(Api))
def test_the_key_goes_where_each_api_looks_for_it(api: Api) -> None:
    endpoint = Endpoint(name="a", model="b", base_url="http://h/v1", api_key="sk-secret")
    expected = (
        {"x-api-key": "sk-secret"} if api is Api.MESSAGES else {"Authorization": "Bearer sk-secret"}
    )
    assert endpoint.headers(api) == expected
