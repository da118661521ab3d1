import pytest

from routecast.embed.protocol import EmbedderIdentity


@pytest.mark.parametrize(
    ("name", "revision", "shown"),
    [
        ("static", "1", "static"),
        ("openai:text-embedding-3-small", "", "openai:text-embedding-3-small"),
        ("sentence:OWNER/NAME", "8d7973c", "sentence:OWNER/NAME"),
        ("sentence:/home/me/models/mini", "", "sentence:mini"),
        ("sentence:~/mini/", "", "sentence:mini"),
        ("sentence:..", "", "sentence:.."),
        ("sentence:/", "", "sentence:model"),
    ],
)
def test_others_see_a_folders_last_name_alone(name: str, revision: str, shown: str) -> None:
    identity = EmbedderIdentity(name=name, revision=revision, dimension=3, digest="d")
    assert identity.shareable().name == shown
    assert identity.shareable().gives_vectors_of(identity)
