"""The paths that clients call."""

import pytest

from routecast.gateway.surfaces import SURFACES, api_of_path
from routecast.upstream.apis import Api


def test_every_surface_is_found_by_its_own_path() -> None:
    assert {path: surface.path for path, surface in SURFACES.items()} == {
        path: path
        for path in (
            "/v1/chat/completions",
            "/v1/responses",
            "/v1/completions",
            "/v1/messages",
            "/v1/messages/count_tokens",
            "/v1/embeddings",
        )
    }


def test_the_upstream_path_follows_a_base_url_that_ends_with_the_version() -> None:
    for surface in SURFACES.values():
        assert surface.path == f"/v1{surface.upstream_path}"


def test_every_api_has_a_surface_and_only_embeddings_cannot_be_routed() -> None:
    assert {surface.api for surface in SURFACES.values()} == set(Api)
    unroutable = {surface.api for surface in SURFACES.values() if not surface.is_routable}
    assert unroutable == {Api.EMBEDDINGS}


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/responses", Api.RESPONSES),
        ("/v1/messages/batches", Api.MESSAGES),
        ("/v1/messages/batches/b_1/results", Api.MESSAGES),
        ("/v1/messagesx", Api.CHAT),
        ("/v1/models", Api.CHAT),
    ],
)
def test_errors_take_the_shape_of_the_path_s_api(path: str, api: Api) -> None:
    assert api_of_path(path) is api
